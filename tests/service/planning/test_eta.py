"""The end of a sweep is foretold well, also where short trials arrive first."""

from itertools import pairwise

import numpy as np
import pytest

from service.planning.eta import Eta, Mark, eta
from service.planning.remaining import BINS, Left, left, place_of
from tests.service.planning.machine import BUDGET, SEGMENT, lengths, train

KINDS = ("equal", "a tenth diverges", "half diverge early", "leave at any time")


def foretold(
    kind: str, trials: int, lanes: int, seed: int, *, by_lane: bool
) -> tuple[Eta, float, float]:
    """After 5 % of the trials have ended: the forecast, the naive one, and the truth."""
    rng = np.random.default_rng(seed)
    seen, ended = train(lengths(kind, trials, rng), lanes, rng, by_lane=by_lane)
    done = np.append(0.0, np.cumsum(np.minimum(ended, BUDGET))) / BUDGET
    marks, reached = [], -1
    for now in seen:
        share = int(200 * (now.ended + now.steps.sum() / BUDGET) / trials)
        if share > reached:
            marks.append(Mark(now.time_s, done[now.ended] + now.steps.sum() / BUDGET))
            reached = share
        if now.ended >= 0.05 * trials:
            break
    counts = [0] * (BINS + 1)
    for length in ended[: now.ended]:
        counts[place_of(int(length), BUDGET)] += 1
    waiting = trials - now.ended - len(now.steps)
    found = eta(marks, left(counts, now.steps / BUDGET, waiting), min(lanes, trials - now.ended))
    assert found is not None
    naive = now.time_s / now.ended * (trials - now.ended)
    return found, naive, seen[-1].time_s - now.time_s


@pytest.mark.parametrize("by_lane", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_after_5_percent_of_the_packs_the_end_is_foretold_within_20_percent(
    kind: str, *, by_lane: bool
) -> None:
    """100 packs of 64 lanes on a machine whose pace drifts by 10 %, three times."""
    for seed in range(3):
        found, _, true = foretold(kind, 6400, 64, seed, by_lane=by_lane)
        assert abs(found.seconds / true - 1) < 0.2


def test_the_mean_pace_of_what_has_ended_misses_by_more_than_that() -> None:
    """Or the test above would show nothing: the naive forecast, of the same sweeps."""
    misses = [
        abs(naive / true - 1)
        for seed in range(3)
        for _, naive, true in [foretold("half diverge early", 640, 32, seed, by_lane=True)]
    ]
    assert max(misses) > 0.2


def test_nine_of_ten_intervals_hold_the_end_even_where_packs_are_few() -> None:
    """About 16 packs; 48 sweeps, of which chance may spoil some more."""
    held = [
        found.low <= true <= found.high
        for kind in KINDS
        for by_lane in (True, False)
        for seed in range(6)
        for found, _, true in [foretold(kind, 1000, 64, seed, by_lane=by_lane)]
        if found.low is not None and found.high is not None
    ]
    assert len(held) == 48
    assert sum(held) >= 40


def test_an_even_pace_gives_the_end_exactly_and_an_interval_about_it() -> None:
    marks = [Mark(10.0 * i, float(i)) for i in range(1, 9)]
    found = eta(marks, Left(100, 100, 100), 4)
    assert found is not None
    assert found.seconds == pytest.approx(1000)
    assert found.low == pytest.approx(1000 / 1.05)
    assert found.high == pytest.approx(1050 + 40)


def test_an_uneven_pace_widens_the_interval() -> None:
    calm = [Mark(10.0 * i, float(i)) for i in range(20)]
    wild = [Mark(10.0 * i + 4 * (i % 3), float(i)) for i in range(20)]
    one, other = (eta(m, Left(100, 100, 100), 0) for m in (calm, wild))
    assert one is not None and other is not None  # noqa: PT018 - for the type checker
    assert one.low is not None and other.low is not None  # noqa: PT018
    assert other.low < one.low


def test_before_two_marks_nothing_is_told_and_before_four_no_interval() -> None:
    rest = Left(10, 9, 11)
    assert eta([Mark(5, 1)], rest, 1) is None
    assert eta([Mark(5, 1), Mark(5, 1)], rest, 1) is None
    assert eta([Mark(5, 1), Mark(7, 2)], rest, 1) == Eta(20, None, None)


def test_old_marks_are_forgotten_so_that_a_new_pace_counts() -> None:
    slow = [Mark(100.0 * i, float(i)) for i in range(100)]
    fast = [Mark(9900.0 + i, 99.0 + i) for i in range(1, 70)]
    found = eta([*slow, *fast], Left(10, 10, 10), 0)
    assert found is not None
    assert found.seconds == pytest.approx(10)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_is_what_will_be_trained_once_lengths_are_known(kind: str) -> None:
    rng = np.random.default_rng(7)
    all_of_them = lengths(kind, 20_000, rng)
    counts = [0] * (BINS + 1)
    for length in all_of_them[:10_000]:
        counts[place_of(int(length), BUDGET)] += 1
    found = left(counts, [], 10_000)
    true = np.minimum(all_of_them[10_000:], BUDGET).sum() / BUDGET
    assert found.mean == pytest.approx(true, rel=0.03)
    assert found.low <= true <= found.high


def test_while_none_has_ended_all_may_train_to_the_end_of_their_budget() -> None:
    found = left([0] * (BINS + 1), [0.5, 0.5], 10)
    assert found.mean == found.high == pytest.approx(11)
    assert found.low < found.mean


def test_short_trials_that_come_first_do_not_make_all_look_short() -> None:
    """Ten of 100 ended at a tenth of their budget, ninety stand at two tenths."""
    counts = [0] * (BINS + 1)
    counts[BINS // 10] = 10
    found = left(counts, [0.2] * 90, 100)
    assert found.mean > 100
    assert found.low < 30 < found.mean < found.high


def test_a_segment_is_no_longer_than_a_bin() -> None:
    """So that the made-up machine tells lengths apart as a real one does."""
    places = [place_of(steps, BUDGET) for steps in range(0, BUDGET + 1, SEGMENT)]
    assert all(b - a in (1, 2) for a, b in pairwise(places))
    assert places[-1] == BINS

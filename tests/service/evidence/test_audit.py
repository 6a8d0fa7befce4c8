"""The audit flags what is broken, and rarely anything else: simulations with fixed seeds."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from service.evidence.audit import Audit, Place, Ran, audit

WORKERS, TRIALS, LANES, HOURS, CELLS = 8, 300, 16, 3, 4
Rng = np.random.Generator


def ran_of(cell: NDArray[np.int64], success: NDArray[np.bool_], places: Mapping[str, Place]) -> Ran:
    """One row a trial."""
    return Ran(cell, success, np.ones(cell.size, np.int64), places)


def place(of: NDArray[np.int64], levels: int) -> Place:
    return Place(of.astype(np.int32), [str(i) for i in range(levels)])


def simulated(rng: Rng, rate: float, flips: float = 0.0) -> Ran:
    """A sweep whose worker 0 flips a share of its outcomes; cells differ in their rates.

    Each worker has a device and a pack of its own.
    """
    n = WORKERS * TRIALS
    worker = rng.permutation(np.repeat(np.arange(WORKERS), TRIALS))
    cell = rng.integers(0, CELLS, n)
    success = rng.random(n) < (rate * np.linspace(0.5, 1.5, CELLS))[cell]
    success ^= (worker == 0) & (rng.random(n) < flips)
    places = {
        "worker": place(worker, WORKERS),
        "device": place(worker, WORKERS),
        "pack": place(worker, WORKERS),
        "lane": place(rng.integers(0, LANES, n), LANES),
        "hour": place(rng.integers(0, HOURS, n), HOURS),
    }
    return ran_of(cell, success, places)


def names(found: Audit) -> list[tuple[str, str]]:
    return [(flag.factor, flag.level) for flag in found.flags]


@pytest.mark.parametrize("rate", [0.05, 0.1])
def test_a_worker_that_flips_a_fifth_of_its_outcomes_is_flagged_within_300_trials(
    rate: float,
) -> None:
    """In at least 95 of 100 sweeps, and next to nothing else is flagged in its shadow."""
    rng = np.random.default_rng(5)
    found = [names(audit(simulated(rng, rate, 0.2))) for _ in range(100)]
    assert sum(("worker", "0") in flags for flags in found) >= 95
    assert sum(len(flags) > 1 for flags in found) <= 12


def test_near_a_rate_of_one_third_the_success_rate_alone_cannot_do_it() -> None:
    """Flips move 0.3 to 0.38 only: it takes replays, see test_replays, or more trials."""
    rng = np.random.default_rng(6)
    found = [names(audit(simulated(rng, 0.3, 0.2))) for _ in range(60)]
    assert 10 <= sum(("worker", "0") in flags for flags in found) <= 50


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_honest_workers_are_flagged_in_at_most_a_twentieth_of_sweeps(rate: float) -> None:
    """200 sweeps: 5 % and three Monte-Carlo errors of 1.5 %; p below 0.05 alone flags most."""
    rng = np.random.default_rng(7)
    found = [audit(simulated(rng, rate)) for _ in range(200)]
    limit = 0.05 + 3 * 0.0154
    assert sum(bool(a.flags) for a in found) / 200 <= limit
    naive = sum(min(level.p for level in (*a.flags, *a.levels)) < 0.05 for a in found) / 200
    assert naive > 0.4 > limit


def test_an_arm_that_succeeds_more_often_flags_no_worker_that_trained_more_of_it() -> None:
    """Within cells; the naive comparison of rates would flag both workers in most sweeps."""
    rng = np.random.default_rng(8)
    flagged = naive = 0
    for _ in range(50):
        n = 1000
        arm = rng.integers(0, 2, n)
        worker = (rng.random(n) < np.where(arm == 1, 0.8, 0.2)).astype(np.int64)
        success = rng.random(n) < np.where(arm == 1, 0.6, 0.2)
        ran = ran_of(arm, success, {"worker": place(worker, 2)})
        flagged += bool(audit(ran).flags)
        naive += bool(audit(ran_of(np.zeros(n, np.int64), success, ran.places)).flags)
    assert flagged <= 6
    assert naive == 50


def test_a_bad_worker_does_not_make_the_others_or_its_hours_look_bad() -> None:
    """It worked in one hour only, so that that hour's rate is off too; it alone is named."""
    rng = np.random.default_rng(9)
    n = 2400
    worker = rng.permutation(np.repeat(np.arange(4), n // 4))
    hour = np.where(worker == 0, 0, rng.integers(0, 3, n))
    success = (rng.random(n) < 0.05) ^ ((worker == 0) & (rng.random(n) < 0.2))
    places = {"worker": place(worker, 4), "hour": place(hour, 3)}
    found = audit(ran_of(np.zeros(n, np.int64), success, places))
    assert names(found) == [("worker", "0")]
    assert {level.level for level in found.levels if level.factor == "worker"} == {"1", "2", "3"}


@pytest.mark.parametrize(("by", "flagged"), [("first", False), ("last", True)])
def test_lanes_are_compared_by_the_row_in_which_trials_began(by: str, flagged: bool) -> None:
    """Trials that leave at success leave the low rows to those that stay: the last row tells."""
    rng = np.random.default_rng(10)
    n, width = 4000, 8
    success = rng.random(n) < 0.3
    length = np.where(success, rng.integers(1, 5, n), 10)
    rows: list[list[int]] = []
    first, last = np.zeros(n, np.int64), np.zeros(n, np.int64)
    waiting = list(range(n))
    while waiting or rows:
        for trial in [waiting.pop(0) for _ in range(min(width - len(rows), len(waiting)))]:
            first[trial] = len(rows)
            rows.append([trial, length[trial]])
        for row, lane in enumerate(rows):
            last[lane[0]] = row
            lane[1] -= 1
        rows = [lane for lane in rows if lane[1] > 0]
    of = place(first if by == "first" else last, width)
    found = audit(ran_of(np.zeros(n, np.int64), success, {"lane": of}))
    assert bool(found.flags) is flagged


def test_factors_that_part_the_trials_alike_are_tested_once() -> None:
    found = audit(simulated(np.random.default_rng(1), 0.1))
    assert {f.name: f.same_as for f in found.factors} == {
        "worker": None,
        "device": "worker",
        "pack": "worker",
        "lane": None,
        "hour": None,
    }
    assert {level.factor for level in found.levels} == {"worker", "lane", "hour"}


def test_levels_with_too_few_trials_to_be_flagged_take_no_share() -> None:
    """A thousand packs of one trial each cost the test of the workers nothing."""
    rng = np.random.default_rng(11)
    n = 1000
    worker = np.arange(n) % 2
    success = rng.random(n) < np.where(worker == 0, 0.45, 0.4)
    lone = place(np.arange(n), n)
    cell = np.zeros(n, np.int64)
    alone = audit(ran_of(cell, success, {"worker": place(worker, 2)}))
    beside = audit(ran_of(cell, success, {"worker": place(worker, 2), "pack": lone}))
    assert next(f for f in beside.factors if f.name == "pack").tested == 0
    assert alone.levels == tuple(level for level in beside.levels if level.factor == "worker")
    assert {level.q for level in beside.levels if level.factor == "pack"} == {None}


def places(worker: list[int]) -> Mapping[str, Place]:
    return {"worker": place(np.array(worker), 3)}


def test_nothing_is_said_where_there_is_nothing_to_compare() -> None:
    """No trial; one worker; places that are not known."""
    empty = ran_of(np.zeros(0, np.int64), np.zeros(0, bool), places([]))
    one = ran_of(np.zeros(9, np.int64), np.ones(9, bool), places([1] * 9))
    unknown = ran_of(np.zeros(9, np.int64), np.ones(9, bool), places([-1] * 9))
    for ran in (empty, one, unknown):
        found = audit(ran)
        assert found.flags == ()
        assert [f.tested for f in found.factors] == [0]


def test_trials_whose_place_is_not_known_are_left_out_of_it() -> None:
    worker = [0, 1] * 50 + [-1] * 100
    success = np.array([True, False] * 50 + [True] * 100)
    found = audit(ran_of(np.zeros(200, np.int64), success, places(worker)))
    [flag] = found.flags
    assert (flag.trials, flag.expected) == (50, pytest.approx(25.0))


@pytest.mark.parametrize("levels", [["b", "a", "c", "d"], ["a", "b", "c", "d"]])
def test_levels_that_stand_out_alike_are_flagged_by_name(levels: list[str]) -> None:
    """Two workers fail at every trial: which is named first does not hang on their numbers."""
    worker = np.repeat(np.arange(4), 100)
    success = (worker >= 2) & (np.arange(400) % 2 == 0)
    of = Place(worker.astype(np.int32), levels)
    found = audit(ran_of(np.zeros(400, np.int64), success, {"worker": of}))
    assert names(found)[0] == ("worker", "a")


def test_rows_that_stand_for_many_trials_are_those_trials() -> None:
    one = simulated(np.random.default_rng(12), 0.3, 0.5)
    columns = [one.cell, one.success.astype(np.int64), *(p.of for p in one.places.values())]
    rows, times = np.unique(np.stack(columns), axis=1, return_counts=True)
    assert rows.shape[1] < one.cell.size
    of = zip(one.places.items(), rows[2:], strict=True)
    places = {name: Place(column.astype(np.int32), p.levels) for (name, p), column in of}
    assert audit(Ran(rows[0], rows[1].astype(bool), times, places)) == audit(one)

"""Width is measured on the segments that train anyway, and short memory halves it."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from models.deep_mlp.program import DeepMlp
from models.kernels.leaves import LeafList
from tests.laws import assignments, run, same
from tests.workers.test_pack_laws import deep_mlp
from workers import numerics
from workers.pack import Pack
from workers.width import FIRST, Width

CASE = deep_mlp("width", optimiser="sgd")


def searched(rate: Any, lanes: int = 200, segments: int = 20) -> Width:
    """A search on a machine where a group of w lanes does rate(w) lane-steps a second."""
    width = Width()
    for _ in range(segments):
        sizes = width.groups(lanes)
        assert sum(sizes) == lanes
        for size in sizes:
            width.note(size, 10, 10 * size / rate(size))
    return width


@pytest.mark.parametrize(
    ("rate", "chosen"),
    [
        (lambda w: min(w, 16) * 100.0, 32),  # gains until 16, and 32 is no worse
        (lambda w: {4: 100.0, 8: 150.0, 16: 160.0, 32: 90.0}.get(w, 50.0), 16),
        (lambda w: 100.0, 8),
        (lambda w: 1000.0 / w, 4),
    ],
)
def test_the_widest_that_still_gains_is_kept(rate: Any, chosen: int) -> None:
    found = searched(rate)
    assert found.chosen == chosen
    assert set(found.groups(10 * chosen)) == {chosen}


def test_the_first_group_is_not_timed() -> None:
    """It compiles and allocates: a slow start must not rule a width out."""
    width = Width()
    width.note(FIRST, 10, 1e6)
    assert width.rates == {}


def test_lanes_too_few_for_the_next_width_train_at_the_best_so_far() -> None:
    found = searched(lambda w: w * 100.0, lanes=20)
    assert found.chosen is None
    assert found.groups(20) == [16, 4]


def test_a_tile_is_the_width_where_the_program_has_one() -> None:
    assert Width(tile=8).groups(20) == [8, 8, 4]


def test_short_memory_halves_the_width_for_good() -> None:
    found = searched(lambda w: w * 100.0)
    found.short(64)
    assert set(found.groups(128)) == {32}


def test_a_known_width_is_not_searched_and_short_memory_still_halves_it() -> None:
    width = Width(known=16)
    assert width.groups(40) == [16, 16, 8]
    width.short(16)
    assert width.groups(16) == [8, 8]
    assert Width(known=64, most=20).groups(64) == [20, 20, 20, 4]


def test_a_search_that_lanes_or_memory_ended_is_not_told() -> None:
    width = Width(lanes=20)
    for lanes in (4, 4, 4, 4, 8, 8, 8, 16, 16, 16):
        width.note(lanes, 10, 1.0)
    assert (width.chosen, width.found) == (20, None)
    width.most = 12
    assert (width.chosen, width.found) == (12, None)


def test_a_search_once_ended_stays_so_whatever_is_measured_later() -> None:
    width = searched(lambda w: min(w, 16) * 100.0)
    assert width.chosen == width.found == 32
    width.note(32, 10, 1e-6)
    assert width.chosen == width.found == 32


def test_a_pack_says_once_what_it_measured_and_nothing_of_what_it_was_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine where every group does as many lane-steps a second: 8 is no better than 4."""
    sound = Width.note
    monkeypatch.setattr(Width, "note", lambda self, n, steps, _: sound(self, n, steps, float(n)))
    numerics.settle()
    spec = replace(CASE.spec, steps=40 * CASE.spec.segment)
    pack = Pack(spec, torch.device("cpu"), measured=True, lanes=60)
    pack.admit(assignments(CASE, 60))
    said = []
    for _ in range(6):
        pack.advance()
        said += [news] if (news := pack.news()) else []
    assert said == [{0: 8}]
    told = Pack(spec, torch.device("cpu"), measured=True, widths=said[0])
    told.admit(assignments(CASE, 60))
    told.advance()
    assert told.news() == {}
    assert told._widths[0].chosen == 8


def test_short_memory_in_a_pack_halves_its_groups_and_loses_no_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory for at most 8 lanes at once: every trial ends, with the bits that it has alone."""
    trials = assignments(CASE, 40)
    expected = run(CASE.spec, trials, 40)
    sound = DeepMlp.gradients
    seen: list[int] = []

    def short(self: DeepMlp, params: LeafList, batches: Any, step: int) -> Any:
        seen.append(params.lanes)
        if seen[-1] > 8:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory, as planted")
        return sound(self, params, batches, step)

    monkeypatch.setattr(DeepMlp, "gradients", short)
    numerics.settle()
    pack = Pack(CASE.spec, torch.device("cpu"), measured=True)
    assert not pack.admit(trials)
    outcomes = {}
    while pack.lanes:
        ended = pack.advance()
        assert not ended.failures
        outcomes |= {o.trial: o for o in ended.outcomes}
    assert outcomes.keys() == expected.keys()
    assert all(same(outcomes[i], expected[i]) for i in outcomes)
    assert max(seen) > 8
    assert max(seen[-5 * CASE.spec.segment :]) <= 8


def test_a_measured_pack_gives_the_bits_of_one_that_is_not() -> None:
    trials = assignments(CASE, 40, wild=[3])
    expected = run(CASE.spec, trials, 40)
    pack = Pack(CASE.spec, torch.device("cpu"), measured=True)
    pack.admit(trials)
    while pack.lanes:
        for outcome in pack.advance().outcomes:
            assert same(outcome, expected[outcome.trial])

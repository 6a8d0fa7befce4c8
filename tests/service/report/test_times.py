"""Time to success in the findings: counts of rows, by arm, by setting and by pair."""

from typing import Any

import numpy as np

from service.evidence.sooner import logrank
from service.evidence.survival import NEVER, count
from service.plan import Plan
from service.report.contrasts import Compared
from service.report.pairing import pairing
from service.report.sample import Sample
from service.report.times import times
from service.store.tables import END_STATES
from tests.service.samples import plan

BUDGET = 200


def made(whole: Plan) -> tuple[Sample, np.ndarray]:
    """A sample of a plan, some trials errored, and first steps made up."""
    rng = np.random.default_rng(7)
    cells = np.repeat(np.arange(len(whole.cells), dtype=np.int32), whole.seeds)
    of = np.array([(c.arm, c.setting) for c in whole.cells], np.int32)
    names = rng.choice(
        ["finished", "left", "diverged", "errored"], len(cells), p=[0.4, 0.3, 0.2, 0.1]
    )
    first = np.where(names == "left", rng.integers(1, 11, len(cells)) * 20, NEVER)
    first = np.where((names == "diverged") & (rng.random(len(cells)) < 0.3), 20, first)
    sample = Sample(
        cell=cells,
        arm=of[cells, 0],
        setting=of[cells, 1],
        seed=np.tile(np.arange(whole.seeds, dtype=np.int32), len(whole.cells)),
        state=np.array([END_STATES.index(n) for n in names], np.int8),
        steps=np.full(len(cells), BUDGET, np.int32),
        final={},
        best={},
        best_step={},
        outcomes_hash="",
    )
    return sample, first.astype(np.int32)


def test_times_are_those_of_rows_picked_one_by_one() -> None:
    whole = plan(seeds=40)
    sample, first = made(whole)
    a, b = whole.arms[1], whole.arms[0]
    compared = [Compared(a, b, pairing(sample, a, b))]
    found = times(whole, sample, first, compared, complete=True)
    has = sample.has_outcome()

    def of(arm: int, setting: int | None = None) -> Any:
        here = has & (sample.arm == arm) & (setting is None or sample.setting == setting)
        return count(first[here], BUDGET)

    for arm in whole.arms:
        told = found["arms"][arm.index]
        assert (told["n"], told["succeeded"]) == (of(arm.index).n, of(arm.index).succeeded)
        assert told["restricted_mean"] == of(arm.index).restricted_mean()
    [k] = found["contrasts"]
    strata = [(of(a.index, s.index), of(b.index, s.index)) for s in whole.settings]
    assert k["logrank"]["z"] == logrank(strata).z
    steps = {
        (int(r), int(s), int(e)): int(f) if f != NEVER else BUDGET + 1
        for r, s, e, f, h in zip(sample.arm, sample.setting, sample.seed, first, has, strict=True)
        if h
    }
    both = [(f, steps[b.index, s, e]) for (r, s, e), f in steps.items()
            if r == a.index and (b.index, s, e) in steps]  # fmt: skip
    within = k["within_pairs"]
    assert within["wins"] == sum(x < y for x, y in both)
    assert within["losses"] == sum(x > y for x, y in both)
    assert within["ties"] == sum(x == y for x, y in both)
    assert within["p_sooner"]["value"] == (1 + (within["wins"] - within["losses"]) / len(both)) / 2


def test_before_the_plan_is_met_nothing_is_compared() -> None:
    whole = plan(seeds=40)
    sample, first = made(whole)
    a, b = whole.arms[1], whole.arms[0]
    compared = [Compared(a, b, pairing(sample, a, b))]
    found = times(whole, sample, first, compared, complete=False)
    assert found["contrasts"] == []
    assert {arm["band"] for arm in found["arms"]} == {None}

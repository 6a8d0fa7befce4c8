"""The pack law, as a check that can be run on sound and on faulty engines alike."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workers import numerics
from workers.messages import Assignment, Outcome, PackSpec
from workers.pack import Pack

ROOT = 0x5EED_BED0_0123_4567_89AB_CDEF_0000_0001


@dataclass(frozen=True)
class Case:
    """One program under the law: its pack and the per-lane values of its lanes."""

    name: str
    spec: PackSpec
    values: dict[str, float]
    #: per-lane overrides that make a lane diverge
    wild: dict[str, float]


def assignments(case: Case, count: int, *, wild: Sequence[int] = ()) -> list[Assignment]:
    """Trials of several settings: every third noisy, plain, and with another learning rate."""
    chosen = []
    for i in range(count):
        values = dict(case.values)
        if i % 3 == 1:
            values["noise_eta"] = 0.0
        if i % 3 == 2:
            values["learning_rate"] *= 0.5
        if i in wild:
            values |= case.wild
        chosen.append(
            Assignment(trial=i, attempt=1, root=ROOT, setting=7 + i % 3, seed=i // 3, values=values)
        )
    return chosen


def run(spec: PackSpec, trials: Sequence[Assignment], lanes: int) -> dict[int, Outcome]:
    """Trains trials in a pack of so many lanes, refilling at boundaries in the given order."""
    numerics.settle()
    pack = Pack(spec, torch.device("cpu"))
    waiting = list(trials)
    outcomes: dict[int, Outcome] = {}
    while waiting or pack.lanes:
        free = lanes - len(pack.lanes)
        newcomers, waiting = waiting[:free], waiting[free:]
        failures = pack.admit(newcomers) if newcomers else []
        ended = pack.advance()
        assert not failures + ended.failures, (failures + ended.failures)[0].traceback
        outcomes |= {o.trial: o for o in ended.outcomes}
        if waiting and len(waiting) % 2:  # refill one boundary late, so lanes differ in step
            pack_only = pack.advance()
            assert not pack_only.failures, pack_only.failures[0].traceback
            outcomes |= {o.trial: o for o in pack_only.outcomes}
    return outcomes


def check_pack_law(case: Case, *, widths: Sequence[int] = (2, 7, 64), sample: int = 4) -> None:
    """A trial's outcome is the same bits alone and in any pack, lane and company.

    Raises:
        AssertionError: an outcome differs, naming the trial, the width and what differs.
    """
    for width in widths:
        count = width + max(2, width // 4)  # more trials than lanes: a refill in the middle
        wild = [1, count // 2]
        trials = assignments(case, count, wild=wild)
        shuffled = trials[:]
        random.Random(width).shuffle(shuffled)
        together = run(case.spec, shuffled, width)
        assert len(together) == count
        assert all(together[i].end_state == "diverged" for i in wild), "no neighbour diverged"
        calm = [t for t in trials if t.trial not in wild]
        step = max(1, len(calm) // sample)
        for trial in calm[::step]:
            alone = run(case.spec, [trial], 1)[trial.trial]
            assert alone.end_state != "diverged", f"{case.name}: the trial itself diverged"
            assert same(alone, together[trial.trial]), (
                f"{case.name}: trial {trial.trial} differs alone and in a pack of {width}: "
                f"{alone.fingerprint[:8]} {alone.end_state} {dict(alone.metrics)} against "
                f"{together[trial.trial].fingerprint[:8]} {together[trial.trial].end_state} "
                f"{dict(together[trial.trial].metrics)}"
            )


def same(one: Outcome, other: Outcome) -> bool:
    """Bit for bit: weights, every evaluation, end state and steps."""
    return (one.fingerprint, one.curve, one.metrics, one.end_state, one.steps) == (
        other.fingerprint,
        other.curve,
        other.metrics,
        other.end_state,
        other.steps,
    )

"""The pack law, as a check that can be run on sound and on faulty engines alike."""

import contextlib
import json
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from tests.company import Ride, check_company, foreseen
from workers import numerics
from workers.messages import Assignment, Leave, Outcome, PackSpec
from workers.pack import Pack

ROOT = 0x5EED_BED0_0123_4567_89AB_CDEF_0000_0001
DEVICE = torch.device("cpu")
#: what an outcome consists of, and must agree in bit for bit
PARTS = ("end_state", "steps", "fingerprint", "curve", "metrics")


@dataclass(frozen=True)
class Case:
    """One program under the law: its pack and the per-lane values of its lanes.

    Attributes:
        metric: low values of it make trials leave.
        wild: per-lane overrides that make a lane diverge, at its first step and after some.
    """

    name: str
    spec: PackSpec
    metric: str
    values: Mapping[str, float]
    wild: tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class Difference:
    """A trial that is not the same alone and in company, and the parts of it that differ."""

    trial: int
    width: int
    parts: tuple[str, ...]


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
            values |= case.wild[i // 4 % len(case.wild)]
        chosen.append(
            Assignment(trial=i, attempt=1, root=ROOT, setting=7 + i % 3, seed=i // 3, values=values)
        )
    return chosen


def crowd(case: Case, count: int) -> list[Assignment]:
    """Trials of which every fourth diverges."""
    return assignments(case, count, wild=range(1, count, 4))


def ride(spec: PackSpec, trials: Sequence[Assignment], lanes: int) -> Ride:
    """Trains trials in a pack of so many lanes, refilling at boundaries in the given order."""
    numerics.settle()
    pack = Pack(spec, DEVICE)
    waiting = list(trials)
    found = Ride({}, [])
    while waiting or pack.lanes:
        free = lanes - len(pack.lanes)
        newcomers, waiting = waiting[:free], waiting[free:]
        failures = pack.admit(newcomers) if newcomers else []
        found.segments.append([(lane.assignment.trial, lane.step) for lane in pack.lanes])
        ended = pack.advance()
        assert not failures + ended.failures, (failures + ended.failures)[0].traceback
        found.outcomes.update({o.trial: o for o in ended.outcomes})
    return found


def run(spec: PackSpec, trials: Sequence[Assignment], lanes: int) -> dict[int, Outcome]:
    """What a ride yields."""
    return ride(spec, trials, lanes).outcomes


def leaving(case: Case, trials: Sequence[Assignment]) -> PackSpec:
    """The case's pack with a leave rule that about a third of these trials meet before the end.

    The threshold is measured, so that the law does not depend on what a program happens to learn.
    """
    lows = []
    for outcome in run(case.spec, trials, len(trials)).values():
        if outcome.end_state == "finished":
            column = json.loads(zlib.decompress(outcome.curve))["metrics"][case.metric]
            lows.append(min(v for v in column[:-1] if v is not None))
    below = [low for low in sorted(lows) if low < max(lows)]
    assert below, f"{case.name}: {case.metric} tells no trial from another"
    threshold = below[min(len(lows) // 3, len(below) - 1)]
    return replace(case.spec, leave=Leave(case.metric, "at_most", threshold))


def size(width: int) -> int:
    """So many more trials than lanes that lanes are refilled in the middle, at every width."""
    return width + 6


def shuffled(trials: Sequence[Assignment], case: Case, dice: random.Random) -> list[Assignment]:
    """Another order, in which those that diverge stay spread among the calm ones."""
    wild = [t for t in trials if is_wild(case, t)]
    calm = [t for t in trials if not is_wild(case, t)]
    dice.shuffle(wild)
    dice.shuffle(calm)
    return [wild.pop() if is_wild(case, t) else calm.pop() for t in trials]


def is_wild(case: Case, trial: Assignment) -> bool:
    """Whether a trial was made to diverge."""
    return any(dict(trial.values) | dict(wild) == dict(trial.values) for wild in case.wild)


def orders(
    case: Case, trials: Sequence[Assignment], alone: Mapping[int, Outcome], width: int, count: int
) -> list[list[Assignment]]:
    """Orders in which calm trials will ride beside all that the law is about, each in some lanes.

    Among more trials than are known alone, chance alone sees to it.
    """
    segment = case.spec.segment
    found: list[list[Assignment]] = []
    for attempt in range(300):
        dice = [random.Random(count * attempt + i) for i in range(count)]
        found = [shuffled(trials, case, d) for d in dice]
        if any(t.trial not in alone for t in trials):
            return found
        rides = [foreseen(alone, [t.trial for t in order], width, segment) for order in found]
        with contextlib.suppress(AssertionError):
            check_company(case.name, width, rides, {t.trial for t in trials})
            return found
    return found


def law_breaches(case: Case, widths: Sequence[int]) -> list[Difference]:
    """Every trial that is not the same bits alone and in company, diverged ones included.

    Raises:
        AssertionError: at some width no lane diverges or leaves beside another, lanes do not differ
            in step, or the trials compared keep to one lane.
    """
    trials = crowd(case, size(max(widths)))
    spec = leaving(case, trials[: size(min(widths))])
    alone = {t.trial: run(spec, [t], 1)[t.trial] for t in trials[: size(7)]}
    found: list[Difference] = []
    for width in widths:
        shuffles = orders(case, trials[: size(width)], alone, width, 2)
        rides = [ride(spec, order, width) for order in shuffles]
        check_company(case.name, width, rides, set(alone) & set(rides[0].outcomes))
        for together in rides:
            found += different(alone, together, width)
    return found


def different(alone: Mapping[int, Outcome], together: Ride, width: int) -> Iterator[Difference]:
    """The trials of a ride that differ from what they are alone."""
    for trial in alone.keys() & together.outcomes.keys():
        one, other = alone[trial], together.outcomes[trial]
        parts = tuple(p for p in PARTS if getattr(one, p) != getattr(other, p))
        if parts:
            yield Difference(trial, width, parts)


def check_pack_law(case: Case, *, widths: Sequence[int] = (2, 7, 64)) -> None:
    """A trial's outcome is the same bits alone and in any pack, lane and company.

    Raises:
        AssertionError: trials differ, or the company was not what the law is about.
    """
    found = law_breaches(case, widths)
    assert not found, f"{case.name} differs alone and in company: {found}"


def same(one: Outcome, other: Outcome) -> bool:
    """Bit for bit: weights, every evaluation, end state and steps."""
    return all(getattr(one, part) == getattr(other, part) for part in PARTS)

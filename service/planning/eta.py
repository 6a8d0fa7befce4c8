"""When a sweep will have ended: the pace of its marks so far, with an interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, variance

from scipy.stats import t as student

from service.planning.remaining import Left

#: the pace is of so many marks at most: older ones are of another time
WINDOW = 60
#: ... and of so many at least, where there are
_LEAST_RECENT = 10
#: blocks of neighbouring marks, whose means are taken as independent
_MOST_BLOCKS = 5
_LEAST_BLOCKS = 3
#: machines drift: no pace is foretold better than this
_LEAST_WIDE = 0.05


@dataclass(frozen=True)
class Mark:
    """A moment of a sweep.

    Attributes:
        active_s: seconds in which a worker trained it, so far.
        work: what was trained in them, in budgets or in what budgets cost.
    """

    active_s: float
    work: float


@dataclass(frozen=True)
class Eta:
    """Seconds of training to the end, and a 90 % interval of them where there is one."""

    seconds: float
    low: float | None
    high: float | None


def eta(marks: Sequence[Mark], rest: Left, running: float) -> Eta | None:
    """Seconds to the end; None before two marks that lie apart.

    The interval holds the pace's error (Student's of block means, over what is past and what is to
    come), that of the lengths of what is left, and the end, when lanes run empty one after another:
    at most the time that a whole trial takes (Graham 1969, SIAM J. Appl. Math. 17:416).

    Args:
        marks: in order, at least one.
        rest: what is left to train, in the marks' unit.
        running: what the budgets of the trials that train now cost together, in that unit.
    """
    recent = _recent(marks)
    gone, work = recent[-1].active_s - recent[0].active_s, recent[-1].work - recent[0].work
    if gone <= 0 or work <= 0:
        return None
    per_budget = gone / work
    seconds = per_budget * rest.mean
    paces = _blocks(recent)
    if len(paces) < _LEAST_BLOCKS:
        return Eta(seconds, None, None)
    future = (work / len(paces)) / max(rest.mean, work / len(paces))
    error = (variance(paces) * (1 / len(paces) + future)) ** 0.5 / fmean(paces)
    wide = max(_LEAST_WIDE, float(student.ppf(0.95, len(paces) - 1)) * error)
    return Eta(
        seconds,
        per_budget * rest.low / (1 + wide),
        per_budget * (rest.high * (1 + wide) + min(running, rest.high)),
    )


def _recent(marks: Sequence[Mark]) -> Sequence[Mark]:
    """Those of the later half of the work, and at least some: a machine's load changes."""
    half = marks[-1].work - (marks[-1].work - marks[0].work) / 2
    first = next(place for place, mark in enumerate(marks) if mark.work >= half)
    return marks[max(0, min(first, len(marks) - 1 - _LEAST_RECENT), len(marks) - 1 - WINDOW) :]


def _blocks(marks: Sequence[Mark]) -> list[float]:
    """Seconds a budget of blocks of neighbouring marks."""
    steps = [
        (b.active_s - a.active_s, b.work - a.work) for a, b in pairwise(marks) if b.work > a.work
    ]
    count = min(_MOST_BLOCKS, len(steps))
    cuts = [len(steps) * i // count for i in range(count + 1)] if count else [0]
    return [
        sum(s for s, _ in steps[a:b]) / sum(w for _, w in steps[a:b]) for a, b in pairwise(cuts)
    ]

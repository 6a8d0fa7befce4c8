"""How much training is left of a sweep whose trials differ in length.

Trials that diverge or leave end early, so those that have ended are too short on average until
the first long ones have ended too. Those that still train are taken as what they are: lengths
censored at where they stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: a trial's length is kept as one of so many shares of its budget; the last is the whole budget
BINS = 50
#: 90 % of a normal variable lies within so many standard deviations
_Z90 = 1.645


@dataclass(frozen=True)
class Left:
    """Training that is left, in what budgets cost: the estimate, and between what it lies."""

    mean: float
    low: float
    high: float


def place_of(steps: int, budget: int) -> int:
    """The bin of a trial that ended after so many steps."""
    return min(BINS, steps * BINS // budget)


def left(
    lengths: Sequence[int],
    ages: Sequence[float],
    waiting: float,
    costs: Sequence[float] | None = None,
) -> Left:
    """What waiting and running trials have yet to train.

    The life-table estimate of survival (Cutler & Ederer 1958, J. Chronic Diseases 8:699). Beyond
    the oldest trial seen it goes on at the mean hazard so far (Brown, Hollander & Korwar 1974);
    `low` has all end there, `high` none before the budget is spent, and both allow for chance.

    Args:
        lengths: (BINS + 1,) trials that ended, by share of their budget.
        ages: of each running trial, the share of its budget that it has done.
        waiting: trials that have not begun, each at its cost.
        costs: of each running trial, what its whole budget costs; 1 unless given.
    """
    ended = np.asarray(lengths, float)
    places = np.minimum((np.asarray(ages, float) * BINS + 1e-9).astype(int), BINS - 1)
    running = np.bincount(places, minlength=BINS + 1).astype(float)
    survived, seen = _survival(ended, running)
    flat, falling, gone = survived.copy(), survived.copy(), survived.copy()
    if seen < BINS:
        flat[seen:] = survived[seen]
        more = np.arange(BINS + 1 - seen)
        falling[seen:] = survived[seen] ** (1 + more / seen)
        gone[seen + 1 :] = 0.0
    each_cost = np.ones(len(places)) if costs is None else np.asarray(costs, float)
    count = max(1.0, float(ended.sum()))
    found = []
    for curve, sign in ((falling, 0), (gone, -1), (flat, 1)):
        area = (curve[:-1] + curve[1:]) / 2 / BINS
        after = np.append(np.cumsum(area[::-1])[::-1], 0.0)
        mean = after[0]
        square = float(2 * area @ ((np.arange(BINS) + 0.5) / BINS))
        error = _Z90 * np.sqrt(max(0.0, square - mean**2) / count)
        rest = np.divide(after, curve, out=np.zeros(BINS + 1), where=curve > 0)[places]
        each = float(np.clip(mean + sign * error, 0.0, 1.0))
        found.append(waiting * each + float(rest @ each_cost))
    return Left(found[0], min(found), max(found))


def _survival(
    ended: NDArray[np.float64], running: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int]:
    """(BINS + 1,) chance to be still training at each share; and up to which it was seen."""
    survived = np.ones(BINS + 1)
    seen = BINS
    for place in range(BINS):
        risk = ended[place:].sum() + running[place:].sum() - running[place] / 2
        if risk <= 0:
            seen = place
            break
        survived[place + 1] = survived[place] * (1 - ended[place] / risk)
    return survived, max(1, seen)

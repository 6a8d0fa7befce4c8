"""Time to success of one arm, with the budget as censoring.

Nothing is censored before the budget: a trial either succeeds at an evaluation or has not by the
end. One that diverged before it succeeded can do so no more: it stays at risk and never succeeds,
so that 1 - S(budget) is the rate of success `at: any`. (Censoring it where it diverged would
answer what would happen if nothing diverged.) Trials without an outcome are left out and counted
elsewhere. So Kaplan and Meier's product over steps telescopes to the share that has not succeeded,
and all that is needed is how many trials first succeeded at each step, whatever their number.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from service.evidence.rates import Rate
from service.evidence.values import POINTS, dkw, spread

#: in an array of first steps: the trial never succeeded
NEVER = -1
_ALPHA = 0.05
_Z = 1.959963984540054


@dataclass(frozen=True)
class Point:
    """The share of trials that have not succeeded by a step, that step included.

    Attributes:
        step: an evaluation at which some trial first succeeded, or 0, or the budget.
        survival: Kaplan & Meier 1958, JASA 53:457: here exactly (n - succeeded) / n.
        low, high: Wilson's interval at this step alone; `Times.band` holds at all at once.
    """

    step: int
    survival: float
    low: float
    high: float


@dataclass(frozen=True)
class Times:
    """When the trials of an arm first succeeded.

    Attributes:
        n: trials with an outcome.
        budget: steps at which the others are censored.
        steps: (K,) distinct steps of first successes, ascending, 1 to budget.
        events: (K,) how many trials first succeeded at each.

    Raises:
        ValueError: they do not go together.
    """

    n: int
    budget: int
    steps: tuple[int, ...]
    events: tuple[int, ...]

    def __post_init__(self) -> None:
        order = (0, *self.steps, self.budget + 1)
        if any(a >= b for a, b in pairwise(order)):
            raise ValueError(
                f"first successes at steps {self.steps[:10]} within {self.budget}; they ascend "
                "from 1 to the budget"
            )
        if len(self.events) != len(self.steps) or any(k < 1 for k in self.events):
            raise ValueError(
                f"{self.events[:10]} trials at {len(self.steps)} steps; 1 or more each"
            )
        if self.succeeded > self.n:
            raise ValueError(
                f"{self.succeeded} first successes of {self.n} trials; at most one each"
            )

    @property
    def succeeded(self) -> int:
        """Trials that succeeded within the budget."""
        return sum(self.events)

    @property
    def band(self) -> float | None:
        """Half the height of the 95 % band that holds at all steps at once; see `values.dkw`."""
        return dkw(self.n)

    def curve(self, most: int = POINTS) -> tuple[Point, ...]:
        """The survival curve at step 0, the steps of successes and the budget; () without trials.

        Args:
            most: the most points; beyond it, steps are left out evenly.
        """
        if not self.n:
            return ()
        reached = [(0, 0)]
        for step, events in zip(self.steps, self.events, strict=True):
            reached.append((step, reached[-1][1] + events))
        if reached[-1][0] < self.budget:
            reached.append((self.budget, reached[-1][1]))
        return tuple(self._point(*reached[i]) for i in spread(len(reached), most))

    def _point(self, step: int, succeeded: int) -> Point:
        left = Rate(self.n - succeeded, self.n)
        low, high = left.wilson() or (0.0, 1.0)
        return Point(step, left.k / left.n, low, high)

    def step_of(self, rank: int) -> int | None:
        """The step by which `rank` trials have succeeded; None if so many do not."""
        total = 0
        for step, events in zip(self.steps, self.events, strict=True):
            total += events
            if total >= rank:
                return step
        return None

    def median(self) -> int | None:
        """The first step by which half the trials have succeeded; None if half do not."""
        return self.step_of(max(1, -(-self.n // 2)))

    def median_interval(self) -> tuple[int, int | None]:
        """95 % interval of the median by order statistics, exact and distribution-free.

        From the l-th to the (n + 1 - l)-th first success, l the largest with P(Bin(n, 1/2) < l) <=
        alpha / 2 (David & Nagaraja 2003, Order Statistics, section 7.1); 0 where there is no
        such l, None above where so many do not succeed.
        """
        below = int(binom.ppf(_ALPHA / 2, self.n, 0.5)) if self.n else 0
        low = self.step_of(below) if below else 0
        high = self.step_of(self.n + 1 - below) if below else None
        return (self.budget if low is None else low), high

    def restricted_mean(self) -> float | None:
        """Mean steps without success up to the budget (RMST), None without trials.

        The area under the survival curve, and the mean of min(first success, budget).
        """
        return None if not self.n else self.budget - self._saved() / self.n

    def restricted_mean_interval(self) -> tuple[float, float] | None:
        """95 % interval of the restricted mean; None without trials.

        Wilson's interval of the mean share of the budget that was left at success: a share lies in
        [0, 1], so its variance is at most m (1 - m), the one that Wilson's score has. It is wider
        than the normal one where successes come late, and in return needs no variance estimate,
        which without successes, or with a few, is 0 or near it.
        """
        if not self.n:
            return None
        low, high = wilson_of_mean(self._saved() / (self.n * self.budget), self.n)
        return self.budget * (1 - high), self.budget * (1 - low)

    def _saved(self) -> int:
        """Steps of the budget that were left when trials first succeeded, over all trials."""
        return sum(
            k * (self.budget - step) for step, k in zip(self.steps, self.events, strict=True)
        )


def count(first: NDArray[np.integer[Any]], budget: int) -> Times:
    """Counts an arm's first successes by step; see `count_groups`."""
    return count_groups(np.zeros(len(first), np.int64), first, 1, budget)[0]


def count_groups(
    group: NDArray[np.integer[Any]], first: NDArray[np.integer[Any]], groups: int, budget: int
) -> list[Times]:
    """Counts first successes by group and step, in one sort however many groups there are.

    Args:
        group: (n,) of each trial with an outcome, 0 to groups - 1, such as its cell.
        first: (n,) the first step at which it met the criterion; NEVER where it did not.
        groups: how many there are; one without trials is empty.
        budget: steps.

    Raises:
        ValueError: a first step is beyond the budget, or below 1 and not NEVER.
    """
    won = first != NEVER
    steps = first[won].astype(np.int64)
    wrong = steps[(steps < 1) | (steps > budget)]
    if len(wrong):
        raise ValueError(
            f"a first success at step {wrong[0]} within {budget}; steps are 1 to the budget, or "
            f"{NEVER} for never; the curve is of another sweep, or its budget is"
        )
    trials = np.bincount(group, minlength=groups)
    keys, events = np.unique(group[won] * np.int64(budget + 1) + steps, return_counts=True)
    of, at = np.divmod(keys, budget + 1)
    ends = np.searchsorted(of, np.arange(groups + 1))
    return [
        Times(int(n), budget, tuple(at[i:j].tolist()), tuple(events[i:j].tolist()))
        for n, (i, j) in zip(trials, pairwise(ends), strict=True)
    ]


def wilson_of_mean(m: float, n: int) -> tuple[float, float]:
    """Wilson's interval, 95 %, for the mean m of n values in [0, 1].

    Where |mean - m| <= z sqrt(m (1 - m) / n); of counts it is Wilson's (1927, JASA 22:209).
    """
    weight = _Z * _Z / n
    middle = (m + weight / 2) / (1 + weight)
    half = math.sqrt(weight * (m * (1 - m) + weight / 4)) / (1 + weight)
    return (max(0.0, middle - half) if m > 0 else 0.0), (min(1.0, middle + half) if m < 1 else 1.0)

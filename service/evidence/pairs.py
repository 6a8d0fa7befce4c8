"""Two arms on the same pairs: difference, its interval, McNemar's test, correlation, bounds."""

import math
from dataclasses import dataclass
from typing import Literal

from scipy.stats import binomtest

from service.evidence.rates import Rate

Sided = Literal["two", "greater", "less"]


@dataclass(frozen=True)
class Pairs:
    """A paired table of arm a against arm b, over pairs whose members both have an outcome."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def n(self) -> int:
        """The number of pairs."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def difference(self) -> float | None:
        """Rate of a minus rate of b; None without pairs."""
        return (self.only_a - self.only_b) / self.n if self.n else None

    def mcnemar(self, sided: Sided = "two") -> float:
        """Exact McNemar p: of the discordant pairs, how many a won, against Bernoulli(1/2).

        McNemar 1947, Psychometrika 12:153. Without discordant pairs p is 1. "greater" asks whether
        a succeeds more often than b.
        """
        discordant = self.only_a + self.only_b
        if discordant == 0:
            return 1.0
        alternative = "two-sided" if sided == "two" else sided
        return float(binomtest(self.only_a, discordant, 0.5, alternative=alternative).pvalue)

    def correlation(self) -> float | None:
        """Observed phi within pairs; None where an arm never or always succeeds."""
        margins = self._margins()
        if margins == 0:
            return None
        return (self.both * self.neither - self.only_a * self.only_b) / math.sqrt(margins)

    def _margins(self) -> int:
        a, b, c, d = self.both, self.only_a, self.only_b, self.neither
        return (a + b) * (c + d) * (a + c) * (b + d)

    def interval(self) -> tuple[float, float] | None:
        """Newcombe's interval of the difference at 95 %; None without pairs.

        Newcombe 1998, Statistics in Medicine 17:2635, method 10: the Wilson intervals of the two
        rates squared and added, with phi corrected for continuity and 0 where a margin is 0.
        """
        if self.n == 0 or self.difference is None:
            return None
        a, b, c, d = self.both, self.only_a, self.only_b, self.neither
        rate_a, rate_b = Rate(a + b, self.n), Rate(a + c, self.n)
        wilson_a, wilson_b = rate_a.wilson(), rate_b.wilson()
        if wilson_a is None or wilson_b is None or rate_a.value is None or rate_b.value is None:
            return None
        down_a, up_a = rate_a.value - wilson_a[0], wilson_a[1] - rate_a.value
        down_b, up_b = rate_b.value - wilson_b[0], wilson_b[1] - rate_b.value
        margins = self._margins()
        phi = 0.0
        if margins:
            cross = float(a * d - b * c)
            if cross > 0:
                cross = max(cross - self.n / 2, 0.0)
            phi = cross / math.sqrt(margins)
        low = math.sqrt(max(0.0, down_a**2 - 2 * phi * down_a * up_b + up_b**2))
        high = math.sqrt(max(0.0, up_a**2 - 2 * phi * up_a * down_b + down_b**2))
        return max(-1.0, self.difference - low), min(1.0, self.difference + high)


def bounds(
    pairs: Pairs, *, a_won: int, a_lost: int, b_won: int, b_lost: int, missing: int
) -> tuple[float, float] | None:
    """The least and greatest difference that missing outcomes allow; None without pairs.

    Args:
        a_won, a_lost: pairs in which only a has an outcome, by whether it succeeded.
        b_won, b_lost: the same of b.
        missing: pairs in which neither has one.
    """
    total = pairs.n + a_won + a_lost + b_won + b_lost + missing
    if total == 0:
        return None
    known = pairs.only_a - pairs.only_b
    least = known - a_lost - b_won - missing
    greatest = known + a_won + b_lost + missing
    return least / total, greatest / total

"""Two arms on the same pairs: differences, ratios, McNemar's test, correlation, bounds."""

import math
from dataclasses import dataclass
from typing import Literal

from scipy.special import bdtr
from scipy.stats import binom, binomtest

from service.evidence import paired_score
from service.evidence.estimate import Estimate, unknown
from service.evidence.rates import Rate
from service.evidence.score import Z

Sided = Literal["two", "greater", "less"]
_EMPTY = "no pair whose members both have an outcome"
#: a correlation smaller than this saves too few trials to be worth a word
_SLIGHT = 0.05


@dataclass(frozen=True)
class Saving:
    """What pairing did to the variance of the difference.

    Attributes:
        correlation: observed phi within pairs.
        trials: share of trials that pairing saved; 0 where the correlation is not positive.
        about_zero: the correlation is under 0.05 in size or not told from 0 at 5 %: pairing was
            harmless here, and did not help.
    """

    correlation: float
    trials: float
    about_zero: bool


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

    def mid_p(self, sided: Sided = "two") -> float:
        """McNemar's mid-p: the observed split of the discordant pairs counts half.

        Lancaster 1961, JASA 56:223; Fagerland, Lydersen & Laake 2013, BMC Medical Research
        Methodology 13:91, who find it about as large as it says where the exact p is too large. Of
        a tie it is 1 - P(tie) / 2, as theirs is; without discordant pairs 1.
        """
        a, b = self.only_a, self.only_b
        discordant = a + b
        if discordant == 0:
            return 1.0
        point = float(binom.pmf(a, discordant, 0.5))
        if sided != "two":
            won = a if sided == "greater" else b
            return float(bdtr(discordant - won, discordant, 0.5)) - point / 2
        if a == b:
            return 1 - point / 2
        return 2 * float(bdtr(min(a, b), discordant, 0.5)) - point

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

    def tango(self) -> Estimate:
        """The difference with Tango's score interval. Tango 1998, Statistics in Medicine 17:891."""
        if self.difference is None:
            return unknown(_EMPTY)
        return Estimate(self.difference, *paired_score.difference(self.only_a, self.only_b, self.n))

    def ratio(self) -> Estimate:
        """Rate a / rate b with the score interval for pairs.

        Nam & Blackwelder 2002, Statistics in Medicine 21:689; Tang, Tang & Chan 2003, Statistics in
        Medicine 22:1217.
        """
        if self.n == 0:
            return unknown(_EMPTY)
        won_a, won_b = self.both + self.only_a, self.both + self.only_b
        low, high = paired_score.ratio(self.both, self.only_a, self.only_b, self.n)
        if won_b == 0:
            why = "neither arm has a success" if won_a == 0 else "arm b has no success"
            return Estimate(None, low, high, f"{why}; the ratio has no upper bound")
        return Estimate(won_a / won_b, low, high)

    def odds_ratio(self) -> Estimate:
        """The conditional odds ratio, only_a / only_b, with its exact interval.

        Given the discordant pairs, only_a is binomial with odds equal to the ratio, so Clopper and
        Pearson's interval of that share becomes one of odds (Breslow & Day 1980, Statistical
        Methods in Cancer Research I, section 5.2).
        """
        share = Rate(self.only_a, self.only_a + self.only_b)
        interval = share.clopper_pearson()
        if self.n == 0 or interval is None:
            return unknown(_EMPTY if self.n == 0 else "no discordant pair")
        low, high = interval
        bottom = low / (1 - low)
        if self.only_b == 0:
            return Estimate(
                None, bottom, None, "no pair that only b won; the odds ratio has no upper bound"
            )
        return Estimate(self.only_a / self.only_b, bottom, high / (1 - high))

    def saving(self) -> Saving | None:
        """What pairing saved; None where there is no correlation to speak of (see there).

        The variance of the difference is V - 2 C with V = p_a q_a + p_b q_b and C the covariance
        within pairs; without pairs it were V, so 2 C / V of the trials were saved.
        """
        rho = self.correlation()
        if rho is None:
            return None
        a, b = self.both + self.only_a, self.both + self.only_b
        variances = a * (self.n - a) + b * (self.n - b)
        covariance = self.both * self.neither - self.only_a * self.only_b
        about_zero = abs(rho) < max(_SLIGHT, Z / math.sqrt(self.n))
        return Saving(rho, max(0.0, 2 * covariance / variances), about_zero)


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

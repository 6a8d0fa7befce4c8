"""Planning a paired contrast: its joint probabilities, the exact power of McNemar's test, and n.

No library has the power of the exact test over a random number of discordant pairs: statsmodels
plans independent arms only.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from service.evidence.pairs import Sided

ALPHA = 0.05
Test = Literal["exact", "mid-p"]
#: no plan asks for more pairs
MOST_PAIRS = 10_000_000
#: what each tail of the number of discordant pairs may hold that is left out of the power
_TAIL = 1e-12
#: correlations of 0.30000000000000004 where the bound is 0.3 are rounding
_SLACK = 1e-12
#: a variance of the number of discordant pairs at which the power's jumps have averaged out
_SMOOTH = 9.0


class InfeasibleError(ValueError):
    """Rates or a correlation that no pair of arms can have; says which are possible."""


@dataclass(frozen=True)
class Design:
    """A pair of arms as planned.

    Attributes:
        baseline: success rate of the arm that is compared against, 0 to 1.
        effect: rate of the other arm minus the baseline.
        correlation: phi between the two successes of a pair.

    Raises:
        InfeasibleError: a rate leaves [0, 1], there is no effect, or no joint distribution has
            these rates and this correlation.
    """

    baseline: float
    effect: float
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.baseline <= 1 or not -_SLACK <= self.rate <= 1 + _SLACK:
            raise InfeasibleError(
                f"baseline {self.baseline:g} and effect {self.effect:g} make a rate of "
                f"{self.rate:g}; rates are between 0 and 1"
            )
        if self.effect == 0:
            raise InfeasibleError("an effect of 0 is what the test assumes; plan for another")
        low, high = self.feasible()
        if not low - _SLACK <= self.correlation <= high + _SLACK:
            raise InfeasibleError(
                f"arms that succeed at {self.baseline:g} and {self.rate:g} cannot correlate by "
                f"{self.correlation:g}; possible is {low:.4g} to {high:.4g}"
            )

    @property
    def rate(self) -> float:
        """The other arm's rate."""
        return self.baseline + self.effect

    def feasible(self) -> tuple[float, float]:
        """The correlations that these rates allow (Frechet's bounds); (0, 0) at rates of 0 or 1."""
        p, q = self.rate, self.baseline
        spread = math.sqrt(max(0.0, p * (1 - p) * q * (1 - q)))
        if spread == 0:
            return 0.0, 0.0
        return (max(0.0, p + q - 1) - p * q) / spread, (min(p, q) - p * q) / spread

    def joint(self) -> tuple[float, float, float, float]:
        """Probabilities of a pair: both succeed, only the arm, only the baseline, neither."""
        p, q = self.rate, self.baseline
        spread = math.sqrt(max(0.0, p * (1 - p) * q * (1 - q)))
        both = min(max(p * q + self.correlation * spread, 0.0, p + q - 1), p, q)
        return both, max(0.0, p - both), max(0.0, q - both), max(0.0, 1 - p - q + both)

    @property
    def discordant(self) -> float:
        """The chance that exactly one of a pair succeeds."""
        _, only_arm, only_baseline, _ = self.joint()
        return only_arm + only_baseline

    @property
    def share(self) -> float:
        """Of discordant pairs, the share that the arm wins."""
        return self.joint()[1] / self.discordant


def critical(d: NDArray[np.int64], level: float, test: Test = "exact") -> NDArray[np.int64]:
    """The least wins of d discordant pairs that reject "half of them" at a one-sided level.

    Returns:
        like d: more than d where no number of wins rejects.
    """
    wins = binom.isf(level, d, 0.5).astype(np.int64) + 1  # P(W >= wins) <= level
    wins = np.where(d == 0, 1, wins)
    if test == "exact":
        return wins
    below = wins - 1
    tail = binom.sf(below, d, 0.5) + 0.5 * binom.pmf(below, d, 0.5)
    return np.where((tail <= level) & (d > 0), below, wins)


def power(
    design: Design,
    pairs: int,
    *,
    sided: Sided = "two",
    alpha: float = ALPHA,
    test: Test = "exact",
) -> float:
    """The chance that McNemar's test of so many pairs rejects at alpha.

    The sum over the number of discordant pairs, Binomial(pairs, discordant), of the chance that
    enough of them are won, Binomial(d, share). Two-sided, a rejection on the wrong side counts as
    one (as in McNemar's p). Terms of which all together hold less than 2e-12 are left out.

    Args:
        sided: "greater" asks whether the arm succeeds more often than the baseline.
        test: "exact", or "mid-p" (Fagerland, Lydersen & Laake 2013, BMC Med. Res. Meth. 13:91).
    """
    psi, share = min(1.0, design.discordant), min(1.0, design.share)
    low = int(binom.ppf(_TAIL, pairs, psi))
    high = int(binom.isf(_TAIL, pairs, psi))
    d = np.arange(max(0, low), high + 1)
    wins = critical(d, alpha / 2 if sided == "two" else alpha, test)
    found = np.zeros(len(d))
    if sided != "less":
        found += binom.sf(wins - 1, d, share)
    if sided != "greater":
        found += binom.sf(wins - 1, d, 1 - share)
    return float(np.clip(binom.pmf(d, pairs, psi) @ found, 0.0, 1.0))


def approximate_pairs(
    design: Design, wanted: float, *, sided: Sided = "two", alpha: float = ALPHA
) -> float:
    """Pairs for a power by a normal approximation.

    Connor 1987, Biometrics 43:207, equation 3 (after Miettinen 1968): a start for `pairs_for`.
    """
    psi, delta = design.discordant, design.effect
    z = norm.isf(alpha / 2 if sided == "two" else alpha)
    spread = math.sqrt(max(0.0, psi - delta**2))
    return float((z * math.sqrt(psi) + norm.ppf(wanted) * spread) ** 2 / delta**2)


def pairs_for(
    design: Design,
    wanted: float,
    *,
    sided: Sided = "two",
    alpha: float = ALPHA,
    test: Test = "exact",
) -> int | None:
    """The least number of pairs from which on the power stays at or above what is wanted.

    The power of a discrete test is no rising function of n: its critical value jumps. So this is
    the n after the last that falls short, not the first that suffices. A fall in the power of d
    discordant pairs is at most one term of a binomial, about 2 / (2 share - 1) pairs' worth of
    rise, which bounds how far beyond the crossing one has to look.

    Returns:
        None where more than `MOST_PAIRS` would be needed, or where the effect lies on the side
        that a one-sided test does not ask about.

    Raises:
        ValueError: the wanted power is not between alpha and 1.
    """
    if not alpha < wanted < 1:
        raise ValueError(f"a power of {wanted:g} was wanted; it lies between {alpha:g} and 1")
    if (sided == "greater" and design.effect < 0) or (sided == "less" and design.effect > 0):
        return None

    def enough(n: int) -> bool:
        return power(design, n, sided=sided, alpha=alpha, test=test) >= wanted

    high = max(8, math.ceil(approximate_pairs(design, wanted, sided=sided, alpha=alpha)))
    if high > MOST_PAIRS:
        return None
    while not enough(high):
        high = high + 1 + high // 8
        if high > MOST_PAIRS:
            return None
    low, top = 0, high  # short at `low`, enough at `top`
    while top - low > 1:
        middle = (low + top) // 2
        low, top = (low, middle) if enough(middle) else (middle, top)
    checked = top
    while checked < top + _ripple(design, top):
        checked += 1
        if not enough(checked):
            top = checked + 1
    return top


def _ripple(design: Design, pairs: int) -> int:
    """Over how many more pairs a fall of the power may still follow.

    The jumps come every second discordant pair; where their number spreads by more than a few they
    average out (a Fourier term of exp(-pi^2 variance / 2)).
    """
    psi = min(1.0, design.discordant)
    if pairs * psi * (1 - psi) > _SMOOTH:
        return 2
    return 8 + math.ceil(6 / abs(design.effect))

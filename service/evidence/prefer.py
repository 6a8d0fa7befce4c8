"""Two arms on the same pairs by a continuous metric: Wilcoxon's test, and how often one is better.

A member without a value (diverged) is worse than any with one, and as good as another without.
First steps of success may be compared in the same way, with NaN for "never" and lower as better.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.evidence.estimate import Estimate, Test, unknown
from service.evidence.pairs import Pairs, Sided
from service.evidence.values import Better

_EMPTY = "no pair whose members both have an outcome"
_SILENT = "no pair has a value"
#: up to so many pairs every sum of ranks is counted, with ties and zeros too
_EXACT = 50
#: values that agree to this share of the larger are equal, and so are differences: 0.3 - 0.2 is
#: 0.2 - 0.1. It is far above rounding of doubles, and below what parts a float32 from the next
_ROUNDING = 1e-10


@dataclass(frozen=True)
class Preference:
    """In how many pairs a member was the better one.

    Attributes:
        wins: pairs in which arm a's value is better.
        ties: pairs of equal values, or of none.
        losses: pairs in which arm b's value is better.
        valueless: those of the ties in which neither member has a value.
    """

    wins: int
    ties: int
    losses: int
    valueless: int = 0

    def nothing(self) -> str:
        """Why nothing can be compared, as a reason; empty where something can."""
        n = self.wins + self.ties + self.losses
        if n == 0:
            return _EMPTY
        return _SILENT if self.valueless == n else ""

    def share(self) -> Estimate:
        """P(a better than b) within a pair, ties counted half, with its 95 % interval.

        It is (1 + d) / 2 of the difference d = P(better) - P(worse), and a tie is to a difference
        of paired rates what a concordant pair is: Tango's score interval of d (1998, Statistics in
        Medicine 17:891), which depends on wins, losses and n alone, carried over. Pairs without a
        value are ties as long as some pair has one; alone they say nothing.
        """
        if self.nothing():
            return unknown(self.nothing())
        found = Pairs(0, self.wins, self.losses, self.ties).tango()
        if found.value is None or found.low is None or found.high is None:
            return unknown(_EMPTY)
        return Estimate((1 + found.value) / 2, (1 + found.low) / 2, (1 + found.high) / 2)

    def sign_test(self, sided: Sided = "two") -> Test:
        """The exact sign test: of the pairs that are no ties, a wins half. Dixon & Mood 1946.

        Of first steps of success it is the log-rank test stratified by pair.
        """
        if self.wins + self.losses == 0:
            why = self.nothing() or "no pair in which one member was better"
            return Test(None, "exact sign test", why)
        return Test(Pairs(0, self.wins, self.losses, 0).mcnemar(sided), "exact sign test")


def prefer(a: NDArray[np.float64], b: NDArray[np.float64], better: Better) -> Preference:
    """Counts pairs by which member was the better one.

    Args:
        a, b: (n,) the members' values in the same order, of pairs whose members both have an
            outcome; what is not finite was not measured.
        better: whether lower or higher values are better.
    """
    apart, _ = _apart(a, b, better)
    wins, losses = int((apart > 0).sum()), int((apart < 0).sum())
    valueless = int((~np.isfinite(a) & ~np.isfinite(b)).sum())
    return Preference(wins, len(a) - wins - losses, losses, valueless)


def signed_rank(
    a: NDArray[np.float64], b: NDArray[np.float64], better: Better, sided: Sided = "two"
) -> Test:
    """Wilcoxon's signed-rank test of pairs; the statistic is the ranks' sum of a's wins.

    Wilcoxon 1945, Biometrics Bulletin 1:80. Pairs of equal values are ranked and then left out of
    the sum (Pratt 1959, JASA 54:655), equal differences share their mean rank, and a pair of which
    one member was not measured has the largest difference of all. Differences that only rounding
    parts are equal. Up to 50 pairs exact, given the ties and zeros; beyond, scipy's normal
    approximation with its variance corrected for ties and zeros, and for continuity.

    Args:
        a, b, better: as in `prefer`.
        sided: "greater" asks whether a is better.
    """
    found = prefer(a, b, better)
    if found.nothing():
        return Test(None, "Wilcoxon signed-rank", found.nothing())
    from scipy.stats import rankdata, wilcoxon  # noqa: PLC0415 - scipy.stats is slow to import

    apart, scale = _apart(a, b, better)
    if not apart.any():
        return Test(None, "Wilcoxon signed-rank", "the members of every pair are equal")
    signed = _signed_ranks(apart, scale)
    shares = rankdata(np.abs(signed))  # mean ranks; twice each is a whole number
    statistic = float(shares[signed > 0].sum())
    if len(signed) <= _EXACT:
        p = _exact(shares[signed != 0], statistic, sided)
        return Test(p, "Wilcoxon signed-rank, exact", statistic=statistic)
    normal = wilcoxon(
        signed,
        zero_method="pratt",
        correction=True,
        alternative="two-sided" if sided == "two" else sided,
        method="asymptotic",
    )
    method = "Wilcoxon signed-rank, normal approximation"
    return Test(float(normal.pvalue), method, statistic=statistic)


def _exact(ranks: NDArray[np.float64], statistic: float, sided: Sided) -> float:
    """The p of a sum of ranks of wins, were every sign a fair coin's: sums are counted, not signs.

    Args:
        ranks: of pairs that are no ties, at most 50, so that doubles hold every count.
        statistic: the sum of a's.
    """
    twice = np.rint(2 * ranks).astype(np.int64)
    ways = np.zeros(int(twice.sum()) + 1)
    ways[0] = 1.0
    for rank in twice:
        ways[rank:] += ways[:-rank].copy()
    at = round(2 * statistic)
    above, below = (float(part.sum()) / 2.0 ** len(twice) for part in (ways[at:], ways[: at + 1]))
    return {"two": min(1.0, 2 * min(above, below)), "greater": above, "less": below}[sided]


def _signed_ranks(apart: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.int64]:
    """Dense ranks of sizes with the differences' signs, in an order that no order of rows shows."""
    sizes = np.abs(apart)
    order = np.lexsort((np.sign(apart), scale, sizes))
    sizes, scale = sizes[order], scale[order]
    noise = _ROUNDING * np.maximum(scale[1:], scale[:-1])
    new = np.zeros(len(sizes), bool)
    new[1:] = sizes[1:] > sizes[:-1] + noise
    new[1:] |= (sizes[1:] > 0) & (sizes[:-1] == 0)
    ranks = np.cumsum(new) + 1
    return np.sort(np.sign(apart[order]).astype(np.int64) * ranks)


def _apart(
    a: NDArray[np.float64], b: NDArray[np.float64], better: Better
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By how much a is better, 0 where nothing but rounding parts them; and the values' size."""
    measured = np.isfinite(a), np.isfinite(b)
    scale = np.maximum(np.where(measured[0], np.abs(a), 0), np.where(measured[1], np.abs(b), 0))
    score_a, score_b = _scores(a, better), _scores(b, better)
    with np.errstate(over="ignore", invalid="ignore"):  # a largest difference is a largest rank
        apart = np.where(score_a == score_b, 0.0, score_a - score_b)
    return np.where(np.abs(apart) <= _ROUNDING * scale, 0.0, apart), scale


def _scores(values: NDArray[np.float64], better: Better) -> NDArray[np.float64]:
    """Higher is better; what was not measured is worst."""
    return np.where(np.isfinite(values), -values if better == "lower" else values, -np.inf)

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
#: scipy enumerates all 2^n signs up to here where there are ties or zeros ...
_ENUMERATED = 13
#: ... and counts the sums of ranks up to here where there are none
_EXACT = 50


@dataclass(frozen=True)
class Preference:
    """In how many pairs a member was the better one.

    Attributes:
        wins: pairs in which arm a's value is better.
        ties: pairs of equal values, or of none.
        losses: pairs in which arm b's value is better.
    """

    wins: int
    ties: int
    losses: int

    def share(self) -> Estimate:
        """P(a better than b) within a pair, ties counted half, with its 95 % interval.

        It is (1 + d) / 2 of the difference d = P(better) - P(worse), and a tie is to a difference
        of paired rates what a concordant pair is: Tango's score interval of d (1998, Statistics in
        Medicine 17:891), which depends on wins, losses and n alone, carried over.
        """
        found = Pairs(0, self.wins, self.losses, self.ties).tango()
        if found.value is None or found.low is None or found.high is None:
            return unknown(_EMPTY)
        return Estimate((1 + found.value) / 2, (1 + found.low) / 2, (1 + found.high) / 2)

    def sign_test(self, sided: Sided = "two") -> Test:
        """The exact sign test: of the pairs that are no ties, a wins half. Dixon & Mood 1946.

        Of first steps of success it is the log-rank test stratified by pair.
        """
        if self.wins + self.losses == 0:
            return Test(None, "exact sign test", "no pair in which one member was better")
        return Test(Pairs(0, self.wins, self.losses, 0).mcnemar(sided), "exact sign test")


def prefer(a: NDArray[np.float64], b: NDArray[np.float64], better: Better) -> Preference:
    """Counts pairs by which member was the better one.

    Args:
        a, b: (n,) the members' values in the same order, of pairs whose members both have an
            outcome; what is not finite was not measured.
        better: whether lower or higher values are better.
    """
    score_a, score_b = _scores(a, better), _scores(b, better)
    wins, losses = int((score_a > score_b).sum()), int((score_a < score_b).sum())
    return Preference(wins, len(a) - wins - losses, losses)


def signed_rank(
    a: NDArray[np.float64], b: NDArray[np.float64], better: Better, sided: Sided = "two"
) -> Test:
    """Wilcoxon's signed-rank test of pairs, by scipy; the statistic is the ranks' sum of a's wins.

    Wilcoxon 1945, Biometrics Bulletin 1:80. Pairs of equal values are ranked and then left out of
    the sum (Pratt 1959, JASA 54:655), equal differences share their mean rank, and a pair of which
    one member was not measured has the largest difference of all. Exact up to 50 pairs without ties
    and up to 13 with; beyond, the normal approximation with its variance corrected for ties and
    zeros, and for continuity.

    Args:
        a, b, better: as in `prefer`.
        sided: "greater" asks whether a is better.
    """
    if len(a) == 0:
        return Test(None, "Wilcoxon signed-rank", _EMPTY)
    from scipy.stats import rankdata, wilcoxon  # noqa: PLC0415 - scipy.stats is slow to import

    score_a, score_b = _scores(a, better), _scores(b, better)
    with np.errstate(over="ignore", invalid="ignore"):  # a largest difference is a largest rank
        apart = np.where(score_a == score_b, 0.0, score_a - score_b)
    if not apart.any():
        return Test(None, "Wilcoxon signed-rank", "the members of every pair are equal")
    # only the order of sizes counts; sorted, so that no order of rows can show
    ranks = np.sort(np.sign(apart) * rankdata(np.abs(apart), method="dense"))
    plain = len(np.unique(np.abs(ranks))) == len(ranks) and bool(ranks.all())
    exact = len(ranks) <= (_EXACT if plain else _ENUMERATED)
    found = wilcoxon(
        ranks,
        zero_method="pratt",
        correction=True,
        alternative="two-sided" if sided == "two" else sided,
        method="auto" if exact else "asymptotic",
    )
    shares = rankdata(np.abs(ranks))
    return Test(
        p=float(found.pvalue),
        method=f"Wilcoxon signed-rank, {'exact' if exact else 'normal approximation'}",
        statistic=float(shares[ranks > 0].sum()),
    )


def _scores(values: NDArray[np.float64], better: Better) -> NDArray[np.float64]:
    """Higher is better; what was not measured is worst."""
    return np.where(np.isfinite(values), -values if better == "lower" else values, -np.inf)

"""Evidence that may be looked at whenever one likes: e-processes and confidence sequences.

An e-process is, at every look, at least 0 and of expectation at most 1 under its null; so the
chance that it ever reaches 1 / alpha is at most alpha (Ville 1939), whenever one looks or stops.
All here are mixtures over alternatives (Robbins 1970, Annals of Mathematical Statistics 41:1397),
depend on counts alone, and are given as logarithms, since they grow without bound.

Looks come after whole cohorts, in which every cell of a grid has as many pairs. A bet that stays
the same multiplies capital by 1 + bet (y - mean) for each pair; over a cohort whose pairs have
different means, the expected product is at most 1 where those means' average is the hypothesis
(geometric means are below arithmetic ones), so what is said of a grid is about its average.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betainc, betaln

from service.evidence.pairs import Pairs, Sided
from service.evidence.unseen import Unseen, against_claim, least, most

Floats = NDArray[np.float64]

ALPHA = 0.05
#: bets on each side of nothing, as shares of the largest that cannot lose all
_BETS = (np.arange(40) + 0.5) / 40


def log_e_paired(only_a: int, only_b: int, sided: Sided = "two") -> float:
    """Log of the e-value against "of discordant pairs, each arm wins half".

    A uniform mixture over what arm a wins of them, against 1/2: B(1 + a, 1 + b) 2^(a + b) where it
    is two-sided; one-sided the mixture is uniform over (1/2, 1), or over (0, 1/2) for "less".

    Args:
        only_a: pairs in which only arm a succeeded.
        only_b: pairs in which only arm b did.
        sided: which alternative is bet on.
    """
    n = only_a + only_b
    both = float(betaln(1 + only_a, 1 + only_b)) + n * math.log(2)
    if sided == "two":
        return both
    won, lost = (only_a, only_b) if sided == "greater" else (only_b, only_a)
    return both + math.log(2) + _log_above_half(won, lost)


def _log_above_half(won: int, lost: int) -> float:
    """Log of the share of Beta(1 + won, 1 + lost) above 1/2."""
    share = float(betainc(1 + lost, 1 + won, 0.5))  # by the other tail, so that it keeps its digits
    if share > _SMALL:
        return math.log(share)
    # P(Bin(n + 1, 1/2) <= won), from its largest term down; here each is a fraction of the last
    n = won + lost + 1
    j = np.arange(won, max(-1, won - _TERMS), -1)
    terms = -math.log(n + 1) - betaln(j + 1, n - j + 1)
    largest = float(terms[0])
    return largest + math.log(float(np.exp(terms - largest).sum())) - n * math.log(2)


#: below it a float loses digits, and soon is 0
_SMALL = 1e-290
#: of such a sum; those after them are under 1e-6 of it up to 10^8 pairs
_TERMS = 4096


def p_anytime(log_e: float) -> float:
    """The p-value that an e-process carries at a look: min(1, 1 / E), with E its largest so far."""
    return math.exp(-log_e) if log_e > 0 else 1.0


def rate_sequence(k: int, n: int, alpha: float = ALPHA) -> tuple[float, float]:
    """A confidence sequence's interval of a rate: what a uniform mixture has not yet ruled out.

    All p with B(1 + k, 1 + n - k) < p^k (1 - p)^(n - k) / alpha. Without trials it is [0, 1].

    Args:
        k: successes so far.
        n: trials so far.
        alpha: the chance that the truth is ever left out.

    Raises:
        ValueError: k is not between 0 and n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} successes of {n} trials; successes are 0 to n")
    if n == 0:
        return 0.0, 1.0
    limit = float(betaln(1 + k, 1 + n - k)) + math.log(alpha)

    def above(p: float) -> float:
        """How far p's likelihood is above the limit."""
        lost = (n - k) * math.log1p(-p) if k < n else 0.0
        return (k * math.log(p) if k else 0.0) + lost - limit

    middle = k / n
    low = 0.0 if k == 0 else _root(above, _TINY, middle)
    high = 1.0 if k == n else _root(above, middle, 1.0 - 2.0**-53)
    return low, high


_TINY = 1e-300


def _root(above: Callable[[float], float], low: float, high: float) -> float:
    """Where a curve that changes its sign once crosses zero; the end where it does not."""
    at_low, at_high = above(low), above(high)
    if at_low > 0 and at_high > 0:
        return low if at_low < at_high else high
    found, _ = brentq(above, low, high, xtol=1e-15, rtol=1e-14, full_output=True)
    return float(found)


def gains(difference: float) -> tuple[Floats, Floats, Floats]:
    """(80,) each: what a pair adds to the logarithm of each bet's capital.

    Of a pair that only b won, of one that both or neither won, of one that only a won; see
    `log_e_difference`.

    Args:
        difference: -1 < difference < 1, which is bet against.
    """
    m = (difference + 1) / 2
    bets = np.concatenate([_BETS / m, -_BETS / (1 - m)])
    return np.log1p(-bets * m), np.log1p(bets * (0.5 - m)), np.log1p(bets * (1 - m))


def log_e_difference(pairs: Pairs, difference: float) -> float:
    """Log of the e-value against "the arms' rates differ by this much".

    A pair gives y = 0, 1/2 or 1: only b succeeded, both or neither, only a. The capital of constant
    bets on y against its mean m = (difference + 1) / 2, averaged over 80 bets on either side, is
    of expectation 1 if the mean of every pair, given those before, is m (Waudby-Smith & Ramdas
    2024, JRSS B 86:1, section 4; a fixed mixture in place of their predictable bets, so that the
    order of pairs does not count).

    Args:
        pairs: the paired table so far.
        difference: -1 < difference < 1.
    """
    only_b, same, only_a = gains(difference)
    log_capital = (
        pairs.only_b * only_b + (pairs.both + pairs.neither) * same + pairs.only_a * only_a
    )
    largest = log_capital.max()
    return float(largest + math.log(np.exp(log_capital - largest).mean()))


def difference_sequence(pairs: Pairs, alpha: float = ALPHA) -> tuple[float, float]:
    """A confidence sequence's interval of rate a - rate b: the differences not yet ruled out.

    Without pairs it is [-1, 1]. The e-value falls and then rises in the difference, so that what is
    not ruled out is an interval around the observed one.
    """
    return _end(pairs, alpha, -1.0), _end(pairs, alpha, 1.0)


_EDGE = 1.0 - 1e-9


def _end(pairs: Pairs, alpha: float, side: float) -> float:
    """The lower end (side -1) or the upper one (side 1) of the sequence."""
    if pairs.n == 0 or pairs.difference is None:
        return side
    limit = -math.log(alpha)

    def above(d: float) -> float:
        return log_e_difference(pairs, d) - limit

    if above(side * _EDGE) < 0:
        return side
    middle = min(max(pairs.difference, -_EDGE), _EDGE)
    return _root(above, -_EDGE, middle) if side < 0 else _root(above, middle, _EDGE)


@dataclass(frozen=True)
class Anytime:
    """What a contrast lets one say at this look, and at any other.

    Attributes:
        log_e: logarithm of the e-value.
        p: anytime-valid p-value.
        interval: of the difference of rates, 95 %.
    """

    log_e: float
    p: float
    interval: tuple[float, float]


def anytime(pairs: Pairs, unseen: Unseen, sided: Sided = "two", alpha: float = ALPHA) -> Anytime:
    """The evidence; a pair that misses an outcome is as unfavourable to a claim as it can be."""
    log_e = log_e_unseen(pairs, unseen, sided)
    return Anytime(log_e, p_anytime(log_e), difference_unseen(pairs, unseen, alpha))


def log_e_unseen(pairs: Pairs, unseen: Unseen, sided: Sided = "two") -> float:
    """The log of the e-value whose missing outcomes are those that make it least."""
    filled = against_claim(pairs, unseen, sided)
    return log_e_paired(filled.only_a, filled.only_b, sided)


def difference_unseen(pairs: Pairs, unseen: Unseen, alpha: float = ALPHA) -> tuple[float, float]:
    """The difference's confidence sequence, as wide as any way of filling in what is missing.

    It holds the sequence of the whole pairs alone, too, so that the difference that is shown with
    it never lies outside. Without whole pairs it is [-1, 1].
    """
    low, high = difference_sequence(pairs, alpha)
    if unseen == Unseen():
        return low, high
    return (
        min(low, _end(least(pairs, unseen), alpha, -1.0)),
        max(high, _end(most(pairs, unseen), alpha, 1.0)),
    )

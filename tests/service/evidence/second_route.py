"""Score intervals by a slow second route: 40 digits, bisection on the score of a hypothesis.

Each hypothesis is fitted by maximising its likelihood numerically, and Pearson's chi-squared of the
fit is compared with z^2: none of the closed forms of service/evidence is used.
"""

from collections.abc import Callable, Sequence

import mpmath as mp

Z2 = mp.mpf("1.959963984540054") ** 2
Number = mp.mpf


def root(f: Callable[[Number], Number], low: Number, high: Number, halvings: int = 100) -> Number:
    """Where a function that falls from above 0 to below 0 is 0, by bisection."""
    for _ in range(halvings):
        middle = (low + high) / 2
        if f(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _pearson(k1: int, n1: int, p1: Number, k2: int, n2: int, p2: Number) -> Number:
    factor = mp.mpf(n1 + n2 - 1) / (n1 + n2)
    first = (k1 - n1 * p1) ** 2 / (n1 * p1 * (1 - p1))
    return factor * (first + (k2 - n2 * p2) ** 2 / (n2 * p2 * (1 - p2)))


def ratio_score(k1: int, n1: int, k2: int, n2: int, theta: Number) -> Number:
    """Chi-squared of p1 = theta p2."""

    def slope(p2: Number) -> Number:  # of the log-likelihood, times positive factors
        p1 = theta * p2
        return (k1 - n1 * p1) * (1 - p2) + (k2 - n2 * p2) * (1 - p1)

    p2 = root(slope, mp.mpf(0), min(mp.mpf(1), 1 / theta))
    return _pearson(k1, n1, theta * p2, k2, n2, p2)


def odds_score(k1: int, n1: int, k2: int, n2: int, psi: Number) -> Number:
    """Chi-squared of an odds ratio psi."""

    def first(p2: Number) -> Number:
        return psi * p2 / (1 - p2 + psi * p2)

    p2 = root(lambda p: k1 + k2 - n1 * first(p) - n2 * p, mp.mpf(0), mp.mpf(1))
    return _pearson(k1, n1, first(p2), k2, n2, p2)


def paired_score(counts: Sequence[int], worth: Sequence[Number]) -> Number:
    """Chi-squared of "the mean worth of a pair is 0", for a table of counts (a multinomial).

    Lagrange: the likeliest shares are n_i / (n + t w_i), with t such that their mean worth is 0; a
    cell without counts takes what is left where no t does it. The score is the mean observed
    worth's square over its variance under those shares.
    """
    n = sum(counts)
    low = max(-n / w for w in worth if w > 0)
    high = min(-n / w for w in worth if w < 0)

    def mean(t: Number) -> Number:
        return sum(k * w / (n + t * w) for k, w in zip(counts, worth, strict=True) if k)

    t = root(mean, low, high)
    shares = [k / (n + t * w) if k else mp.mpf(0) for k, w in zip(counts, worth, strict=True)]
    left = sum(share * w for share, w in zip(shares, worth, strict=True))
    if abs(left) > mp.mpf(10) ** -20:
        cell = next(
            i for i, w in enumerate(worth) if not counts[i] and abs(n + t * w) < mp.mpf(10) ** -15
        )
        shares[cell] = -left / worth[cell]
    variance = sum(share * w * w for share, w in zip(shares, worth, strict=True))
    return sum(k * w for k, w in zip(counts, worth, strict=True)) ** 2 / (n * variance)


def paired_difference_score(counts: Sequence[int], delta: Number) -> Number:
    """Of p_a - p_b = delta; counts of both, only a, only b, neither."""
    return paired_score(counts, (-delta, 1 - delta, -1 - delta, -delta))


def paired_ratio_score(counts: Sequence[int], phi: Number) -> Number:
    """Of p_a = phi p_b."""
    return paired_score(counts, (1 - phi, mp.mpf(1), -phi, mp.mpf(0)))


def end(score: Callable[[Number], Number], inside: float, outside: float) -> float:
    """Where the score reaches z^2 between the estimate and a point beyond the end."""
    return float(root(lambda value: Z2 - score(value), mp.mpf(inside), mp.mpf(outside), 45))

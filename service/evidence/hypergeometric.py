"""Sums of hypergeometric counts: how many successes a part of several cells may hold by chance.

Of a cell's N trials K succeeded; any n of them, chosen without a look at the outcome, hold a
hypergeometric number of successes. Over cells those are independent, given every cell's N and K.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.special import gammaln
from scipy.stats import norm

#: above this variance the tails come from an Edgeworth series: the sum is then nearly normal
_LARGE = 1000.0
#: above this product of lengths a convolution goes by way of frequencies
_LONG = 1_000_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tails:
    """What chance gives a sum of hypergeometric counts.

    Attributes:
        expected: its mean.
        p: two-sided p-value of what was observed: twice the smaller tail, at most 1.
        least_p: the smallest p that any count could have, which depends on no outcome but K.
    """

    expected: float
    p: float
    least_p: float


def tails(observed: int, parts: Ints) -> Tails:
    """Exact, conditional on every cell's N and K; above a variance of 1,000 to a term in skewness.

    Args:
        observed: successes of the part, over all cells.
        parts: (cells, 3), the N, K and n of each cell; n >= 1.

    Raises:
        ValueError: a part is larger than its cell, or the observed count is impossible.
    """
    each, times = np.unique(parts, axis=0, return_counts=True)
    whole, wins, mine = each.T
    lowest, highest = np.maximum(0, mine + wins - whole), np.minimum(mine, wins)
    low, high = int(lowest @ times), int(highest @ times)
    if (mine > whole).any() or (wins > whole).any() or not low <= observed <= high:
        raise ValueError(
            f"{observed} successes cannot be, of parts that hold {low} to {high}; n and K are at "
            "most N, and the count is of the same trials; count again"
        )
    mean, variance, third = (float(c @ times) for c in _cumulants(whole, wins, mine))
    ends = [float(_log_mass(whole, wins, mine, end) @ times) for end in (lowest, highest)]
    least = min(1.0, 2.0 * float(np.exp(min(ends)))) if low < high else 1.0
    if low == high:
        return Tails(mean, 1.0, 1.0)
    if variance > _LARGE:
        below = _edgeworth(observed + 0.5, mean, variance, third)
        above = 1.0 - _edgeworth(observed - 0.5, mean, variance, third)
    else:
        masses = _sum(each, times)
        below = float(masses[: observed - low + 1].sum())
        above = float(masses[observed - low :].sum())
    return Tails(mean, float(min(1.0, 2.0 * max(0.0, min(below, above)))), least)


def _log_mass(whole: Ints, wins: Ints, mine: Ints, x: Ints) -> Floats:
    """Logarithm of the chance of x."""

    def log_choose(n: Ints, k: Ints) -> Floats:
        found: Floats = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
        return found

    return log_choose(wins, x) + log_choose(whole - wins, mine - x) - log_choose(whole, mine)


def _cumulants(whole: Ints, wins: Ints, mine: Ints) -> tuple[Floats, Floats, Floats]:
    """Mean, variance and third central moment of each."""
    size = whole.astype(np.float64)
    rate = wins / size
    one, two = np.maximum(size - 1, 1), np.maximum(size - 2, 1)
    mean = mine * rate
    variance = mean * (1 - rate) * (size - mine) / one
    return mean, variance, variance * (1 - 2 * rate) * (size - 2 * mine) / two


def _edgeworth(x: float, mean: float, variance: float, third: float) -> float:
    """The chance of at most x, to the first term in skewness (Kolassa 2006, chapter 3)."""
    z = (x - mean) / variance**0.5
    found = norm.cdf(z) - norm.pdf(z) * third / variance**1.5 * (z * z - 1) / 6
    return float(min(1.0, max(0.0, found)))


def _sum(each: Ints, times: Ints) -> Floats:
    """The masses of the sum, from its least value on; equal parts are convolved by squaring."""
    total = np.ones(1)
    for (whole, wins, mine), count in zip(each, times.tolist(), strict=True):
        x = np.arange(max(0, mine + wins - whole), min(mine, wins) + 1)
        power = np.exp(_log_mass(whole, wins, mine, x))
        left = count
        while left:
            if left % 2:
                total = _convolved(total, power)
            left //= 2
            if left:
                power = _convolved(power, power)
    return total


def _convolved(a: Floats, b: Floats) -> Floats:
    if a.size * b.size <= _LONG:
        return np.convolve(a, b)
    found: Floats = np.maximum(fftconvolve(a, b), 0.0)
    return found

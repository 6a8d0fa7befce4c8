"""Sums of hypergeometric counts: how many successes a part of several cells may hold by chance.

Of a cell's N trials K succeeded; any n of them, chosen without a look at the outcome, hold a
hypergeometric number of successes. Over cells those are independent, given every cell's N and K.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import norm

#: above this variance the tails come from an Edgeworth series: the sum is then nearly normal
_LARGE = 1000.0
#: tails of masses below this share of the largest are cut; its square is still a normal double
_NOTHING = 1e-150
#: what is shorter is not worth cutting
_SHORT = 64

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
#: the count that masses begin at, and the masses
Law = tuple[int, Floats]


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
        start, masses = _sum(each, times)
        at = observed - start
        below = float(masses[: max(0, at + 1)].sum())
        above = float(masses[max(0, at) :].sum())
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


def _sum(each: Ints, times: Ints) -> Law:
    """The law of the sum of all parts.

    Halves are summed before they are put together, and tails that no p shows are cut: a sum is then
    about as wide as its standard deviation.
    """
    counts = times.tolist()
    laws = [law for one, count in zip(_laws(each), counts, strict=True) for law in _of(one, count)]
    while len(laws) > 1:
        paired = [_plus(a, b) for a, b in zip(laws[::2], laws[1::2], strict=False)]
        laws = paired + laws[2 * len(paired) :]
    return laws[0]


def _laws(each: Ints) -> Iterator[Law]:
    """The law of each part; the masses of all are computed at once."""
    whole, wins, mine = each.T
    lowest = np.maximum(0, mine + wins - whole)
    sizes = np.minimum(mine, wins) - lowest + 1
    starts = np.cumsum(sizes) - sizes
    x = np.arange(int(sizes.sum())) - np.repeat(starts - lowest, sizes)
    of_each = np.repeat(each, sizes, axis=0)
    masses = np.exp(_log_mass(of_each[:, 0], of_each[:, 1], of_each[:, 2], x))
    for low, start, size in zip(lowest.tolist(), starts.tolist(), sizes.tolist(), strict=True):
        yield _cut(low, masses[start : start + size])


def _of(power: Law, count: int) -> Iterator[Law]:
    """The laws whose sum is that of so many equal parts: 1, 2, 4 ... of them by squaring."""
    while count:
        if count % 2:
            yield power
        count //= 2
        if count:
            power = _plus(power, power)


def _plus(a: Law, b: Law) -> Law:
    return _cut(a[0] + b[0], np.convolve(a[1], b[1]))


def _cut(start: int, masses: Floats) -> Law:
    if masses.size < _SHORT:
        return start, masses
    kept = np.flatnonzero(masses >= _NOTHING * masses.max())
    low, high = int(kept[0]), int(kept[-1]) + 1
    return start + low, masses[low:high]

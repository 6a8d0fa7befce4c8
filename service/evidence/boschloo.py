"""Exact tests of two independent arms: Fisher's, and Boschloo's, which maximises over the rate.

scipy's Boschloo takes 3.5 s at 500 trials an arm, since it compares all n^2 tables at every rate.
Fisher's p falls as arm a wins more, so the tables that count are those beyond one edge, which is
found by bisection in all columns at once: the same p in some hundredths of a second.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, gammaln
from scipy.stats import fisher_exact, hypergeom

from service.evidence.pairs import Sided

#: tables count as equally extreme if their p agrees so far, as in scipy
_ALIKE = 1 + 1e-10
_RATES = 256
#: the best rate's neighbourhood is divided into so many parts each side, so many times
_FINER, _REFINEMENTS = 8, 6


def fisher(k1: int, n1: int, k2: int, n2: int, sided: Sided) -> float:
    """Fisher's exact p; "greater" asks whether arm 1 succeeds more often. Fisher 1935."""
    alternative = "two-sided" if sided == "two" else sided
    found = fisher_exact([[k1, n1 - k1], [k2, n2 - k2]], alternative=alternative)
    return float(found.pvalue)


def p_value(k1: int, n1: int, k2: int, n2: int, sided: Sided) -> float:
    """Boschloo's exact p; two-sided it is twice the smaller of the one-sided ones, at most 1.

    Boschloo 1970, Statistica Neerlandica 24:1: the largest probability, over the common rate, of a
    table whose Fisher p is no larger than the observed.
    """
    if sided == "greater":
        return _greater(k1, n1, k2, n2)
    if sided == "less":
        return _greater(k2, n2, k1, n1)
    return min(1.0, 2 * min(_greater(k1, n1, k2, n2), _greater(k2, n2, k1, n1)))


def _greater(k1: int, n1: int, k2: int, n2: int) -> float:
    edge = _edge(k1, n1, k2, n2)
    columns = np.arange(n2 + 1)
    ways = gammaln(n2 + 1) - gammaln(columns + 1) - gammaln(n2 - columns + 1)

    def chances(rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of a table beyond the edge, where both arms succeed at these rates (each in (0, 1))."""
        at = rates[:, None]  # (rates, columns)
        column = np.exp(ways + columns * np.log(at) + (n2 - columns) * np.log1p(-at))
        return np.asarray((column * bdtrc(edge - 1, n1, at)).sum(axis=1))

    # evenly spread in the angle, in which a binomial's width is the same everywhere
    angles = np.linspace(0, np.pi / 2, _RATES + 1)[1:-1]
    best = int(chances(np.sin(angles) ** 2).argmax())
    for _ in range(_REFINEMENTS):
        step = angles[1] - angles[0]
        near = np.linspace(angles[best] - step, angles[best] + step, 2 * _FINER + 1)
        angles = near[(near > 0) & (near < np.pi / 2)]
        found = chances(np.sin(angles) ** 2)
        best = int(found.argmax())
    return min(1.0, float(found[best]))


def _edge(k1: int, n1: int, k2: int, n2: int) -> NDArray[np.int64]:
    """For each k2', the least k1' whose Fisher p is at most the observed; n1 + 1 where none is."""
    columns = np.arange(n2 + 1)

    def p(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(hypergeom.sf(rows - 1, n1 + n2, rows + columns, n1))

    observed = float(hypergeom.sf(k1 - 1, n1 + n2, k1 + k2, n1)) * _ALIKE
    low, high = np.zeros(n2 + 1, dtype=np.int64), np.full(n2 + 1, n1 + 1, dtype=np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        small = p(np.minimum(middle, n1)) <= observed
        high = np.where((low < high) & small, middle, high)
        low = np.where((low < high) & ~small, middle + 1, low)
    return high

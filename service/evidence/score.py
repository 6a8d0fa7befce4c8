"""Score intervals by inversion: where a score statistic crosses its critical value."""

import math
from collections.abc import Callable

#: two-sided 95 %: the normal quantile at 0.975, and its square
Z = 1.959963984540054
Z2 = Z * Z


def crossing(gap: Callable[[float], float], inside: float, outside: float) -> float:
    """Where a gap that is below 0 inside the interval and above 0 outside it is 0.

    Args:
        gap: squared numerator less z^2 times the variance (or anything of that sign).
        inside: the estimate; the gap may be 0 there too, where an estimate lies on an edge.
        outside: a point beyond the end that is sought, towards which the gap changes sign once.

    Raises:
        ArithmeticError: the gap never changes its sign; a statistic was written down wrongly.
    """
    from scipy.optimize import brentq  # noqa: PLC0415 - scipy.optimize is slow to import

    within = outside
    for _ in range(1100):  # halvings from the largest to the smallest float
        within = inside + (within - inside) / 2
        if gap(within) < 0:
            return float(brentq(gap, within, outside, xtol=1e-18, rtol=1e-14))
        outside = within
    raise ArithmeticError(f"no end between {inside} and {outside}; the gap never changes its sign")


def beyond(gap: Callable[[float], float], inside: float) -> float:
    """A point above `inside` at which the gap is above 0, by doubling the distance.

    Raises:
        ArithmeticError: there is none.
    """
    step = 1.0
    while gap(inside + step) <= 0:
        step *= 2
        if not math.isfinite(inside + step):
            raise ArithmeticError(f"no end above {inside}; the gap stays below 0")
    return inside + step

"""Score intervals of a ratio and of an odds ratio of two independent arms, from their counts.

Miettinen & Nurminen 1985, Statistics in Medicine 4:213, with their factor N / (N - 1). statsmodels
has both, but its odds ratio and its ratio fail at 0 and at n successes, where a sweep often stands;
elsewhere tests hold the two to each other.

Only lower ends are computed here: an upper end is the inverse of the lower one of swapped arms.
"""

import math
from collections.abc import Callable

from service.evidence.score import Z2, beyond, crossing

#: a step that stands for the smallest, and whose products are not yet 0
_EDGE = 1e-200


def ratio(k1: int, n1: int, k2: int, n2: int) -> tuple[float, float | None]:
    """The 95 % interval of p1 / p2, n1 and n2 >= 1; the upper end is None where it has none."""
    swapped = _ratio_low(k2, n2, k1, n1)
    return _ratio_low(k1, n1, k2, n2), 1 / swapped if swapped > 0 else None


def _ratio_low(k1: int, n1: int, k2: int, n2: int) -> float:
    if k1 == 0:
        return 0.0

    def gap(minus_log: float) -> float:
        return ratio_gap(k1, n1, k2, n2, math.exp(-minus_log))

    inside = math.log(k2 / k1 * n1 / n2) if k2 else _inside(gap)
    return math.exp(-crossing(gap, inside, beyond(gap, inside)))


def _inside(gap: Callable[[float], float]) -> float:
    """A point of an interval whose estimate is infinite."""
    point = -1.0
    while gap(point) >= 0:
        point *= 2
    return point


def ratio_gap(k1: int, n1: int, k2: int, n2: int, theta: float) -> float:
    """Squared numerator less z^2 times the variance, at p1 / p2 = theta."""
    total, won = n1 + n2, k1 + k2
    linear = n1 * theta + k1 + n2 + k2 * theta
    root = math.sqrt(max(0.0, linear * linear - 4 * total * theta * won))
    p2 = min(2 * won / (linear + root), 1.0, 1 / theta)  # constrained maximum likelihood
    p1 = min(theta * p2, 1.0)
    variance = p1 * (1 - p1) / n1 + theta * theta * p2 * (1 - p2) / n2
    distance = k1 / n1 - theta * k2 / n2
    return distance * distance - Z2 * variance * total / (total - 1)


def odds_ratio(k1: int, n1: int, k2: int, n2: int) -> tuple[float, float | None]:
    """The 95 % interval of the odds ratio, n1 and n2 >= 1; the upper end None where it has none."""
    swapped = _odds_low(k2, n2, k1, n1)
    return _odds_low(k1, n1, k2, n2), 1 / swapped if swapped > 0 else None


def _odds_low(k1: int, n1: int, k2: int, n2: int) -> float:
    """The constrained expectation of k1 is moved down from k1 until the score is significant."""
    total, won = n1 + n2, k1 + k2
    least = max(0, won - n2)  # of successes in arm 1, given the margins
    if k1 == least:
        return 0.0

    def variances(above: float) -> tuple[float, float]:
        first = (least + above) * (n1 - least - above) / n1
        second = (won - least - above) * (n2 - won + least + above) / n2
        return first, second

    def gap(above: float) -> float:
        first, second = variances(above)
        distance = k1 - least - above
        scaled = distance * distance * (first + second) * (total - 1) / total
        return scaled - Z2 * first * second

    # at the very edge both variances may be 0, and so the gap: the smallest step inside is not
    above = crossing(gap, float(k1 - least), _EDGE if gap(0.0) <= 0 else 0.0)
    expected = least + above
    return (expected / (n1 - expected)) * ((n2 - won + expected) / (won - expected))

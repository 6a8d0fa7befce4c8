"""Score intervals of a paired difference and a paired ratio, from the four counts of a table.

Both invert a score statistic whose nuisance parameter, the share of "only b", has a closed form.
The form is a sum of terms of one sign where the hypothesis favours a (difference >= 0, ratio >= 1);
elsewhere the arms are swapped, so that no digits cancel at n = 10^6 either. No maintained library
has these intervals (statsmodels: a private ratio that agrees with its source at two decimals).
"""

import math

from service.evidence.score import Z2, beyond, crossing


def difference_gap(only_a: int, only_b: int, n: int, delta: float) -> float:
    """Squared numerator less z^2 times the variance, at difference delta.

    Tango 1998, Statistics in Medicine 17:891, equations 10 to 13.
    """
    if delta < 0:
        only_a, only_b, delta = only_b, only_a, -delta
    linear = (2 * n - only_a + only_b) * delta - only_a - only_b
    constant = only_b * delta * (1 - delta)
    root = math.sqrt(linear * linear + 8 * n * constant)
    # the positive root of 2 n q^2 + linear q - constant = 0, without cancellation
    q = 2 * constant / (linear + root) if linear > 0 else (root - linear) / (4 * n)
    distance = only_a - only_b - n * delta
    return distance * distance - Z2 * n * (2 * q + delta * (1 - delta))


def difference(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """Tango's 95 % interval of rate a - rate b, n >= 1 pairs."""
    observed = (only_a - only_b) / n

    def gap(delta: float) -> float:
        return difference_gap(only_a, only_b, n, delta)

    low = -1.0 if only_b == n else crossing(gap, observed, -1.0)
    high = 1.0 if only_a == n else crossing(gap, observed, 1.0)
    return low, high


def ratio_gap(both: int, only_a: int, only_b: int, n: int, log_ratio: float) -> float:
    """Squared numerator less z^2 times the variance, at this logarithm of rate a / rate b.

    Tang, Tang & Chan 2003, Statistics in Medicine 22:1217, equations 4 to 7 (the same statistic as
    Nam & Blackwelder 2002, Statistics in Medicine 21:689). Both sides are divided by the ratio.
    """
    if log_ratio < 0:
        only_a, only_b, log_ratio = only_b, only_a, -log_ratio
    phi = math.exp(log_ratio)
    more = math.expm1(log_ratio)  # phi - 1
    won_a, won_b, any_won = both + only_a, both + only_b, both + only_a + only_b
    linear = won_b * phi * phi - won_a - 2 * only_b
    constant = only_b * more * any_won / n
    root = math.sqrt(linear * linear + 4 * n * (1 + phi) * constant)
    q = 2 * constant / (linear + root) if linear > 0 else (root - linear) / (2 * n * (1 + phi))
    distance = won_a - won_b * phi
    return distance * distance / phi - Z2 * (n * (1 + phi) * q + any_won * more) / phi


def ratio(both: int, only_a: int, only_b: int, n: int) -> tuple[float, float | None]:
    """The 95 % score interval of rate a / rate b; None as the upper end where it has none.

    Where no arm has a success nothing is known: (0, None).
    """
    won_a, won_b = both + only_a, both + only_b
    if won_a == 0 and won_b == 0:
        return 0.0, None
    high = _ratio_high(both, only_a, only_b, n)
    swapped = _ratio_high(both, only_b, only_a, n)
    return (0.0 if swapped is None else 1 / swapped), high


def _ratio_high(both: int, only_a: int, only_b: int, n: int) -> float | None:
    won_a, won_b = both + only_a, both + only_b
    if won_b == 0:
        return None

    def gap(log_ratio: float) -> float:
        return ratio_gap(both, only_a, only_b, n, log_ratio)

    if won_a == 0:  # the estimate is at minus infinity: any point with a gap below 0 will do
        inside = -1.0
        while gap(inside) >= 0:
            inside *= 2
    else:
        inside = math.log(won_a / won_b)
    return math.exp(crossing(gap, inside, beyond(gap, inside)))

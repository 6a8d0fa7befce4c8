"""What a success rate means in practice: how many restarts a success costs."""

import math
from collections.abc import Callable

from service.evidence.estimate import Estimate, unknown
from service.evidence.rates import Rate

CHANCE = 0.95


def restarts_per_success(rate: Rate) -> Estimate:
    """Expected restarts until the first success, 1 / p: the mean of a geometric distribution.

    The interval is that of the rate (Wilson's), carried over end by end.
    """
    return _carried(rate, lambda p: 1 / p)


def restarts_for_one(rate: Rate) -> Estimate:
    """The fewest restarts of which at least one succeeds with a chance of 95 %.

    The least whole n with 1 - (1 - p)^n >= 0.95, which is log 0.05 / log(1 - p) rounded up; the
    interval is that of the rate (Wilson's), carried over end by end.
    """
    return _carried(rate, fewest)


def fewest(p: float) -> float:
    """Restarts for one success with a chance of 95 %, at rate 0 < p <= 1."""
    if p >= CHANCE:
        return 1.0
    exact = math.log(1 - CHANCE) / math.log1p(-p)
    near = round(exact)
    # a whole number that rounding has lifted by its last digits is not rounded up once more
    return float(near if math.isclose(exact, near, rel_tol=1e-12) else math.ceil(exact))


def _carried(rate: Rate, restarts: Callable[[float], float]) -> Estimate:
    """A falling function of the rate, of its value and of both ends of its interval."""
    wilson = rate.wilson()
    if wilson is None or rate.value is None:
        return unknown("no trials")
    least, most = wilson
    low = restarts(most)
    if rate.k == 0:
        return Estimate(
            None, low, None, f"no success in {rate.n} trials; it takes at least so many"
        )
    return Estimate(restarts(rate.value), low, restarts(least))

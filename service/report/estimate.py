"""A rate as it stands in the findings."""

from dataclasses import asdict
from functools import lru_cache
from typing import Any

from service.evidence.practical import restarts_for_one, restarts_per_success
from service.evidence.rates import Rate
from service.evidence.sequential import rate_sequence

NONE_SETTLED = "no trial with an outcome is settled"


def estimate(k: int, n: int, *, interval: bool) -> dict[str, Any]:
    """k, n, rate, Wilson's and Clopper and Pearson's interval, or why there is no rate.

    Args:
        k: successes.
        n: trials with an outcome.
        interval: whether the plan is met, so that fixed-n intervals may be given.
    """
    wilson, exact = _ends(k, n) if interval else (None, None)
    return {
        "successes": k,
        "n": n,
        "rate": Rate(k, n).value,
        "interval": list(wilson) if wilson else None,
        "exact_interval": list(exact) if exact else None,
        "not_estimable": None if n else NONE_SETTLED,
    }


def estimate_arm(k: int, n: int, *, interval: bool) -> dict[str, Any]:
    """The same of an arm, with what holds at every look and with how many restarts it takes."""
    rate = Rate(k, n)
    return estimate(k, n, interval=interval) | {
        "anytime": list(rate_sequence(k, n)) if n else None,
        "restarts_per_success": asdict(restarts_per_success(rate)) if interval else None,
        "restarts_for_one": asdict(restarts_for_one(rate)) if interval else None,
    }


Ends = tuple[float, float] | None


@lru_cache(maxsize=65_536)  # cells of a grid have few seeds each, so that most share their counts
def _ends(k: int, n: int) -> tuple[Ends, Ends]:
    rate = Rate(k, n)
    return rate.wilson(), rate.clopper_pearson()

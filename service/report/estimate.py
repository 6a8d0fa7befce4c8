"""A rate as it stands in the findings."""

from typing import Any

from service.evidence.rates import Rate
from service.evidence.sequential import rate_sequence


def estimate(k: int, n: int, *, interval: bool, anytime: bool = False) -> dict[str, Any]:
    """k, n, rate and Wilson interval; without trials it is not estimable, with the reason.

    Args:
        k: successes.
        n: trials with an outcome.
        interval: whether Wilson's interval may be given.
        anytime: whether the interval that holds at every look is given.
    """
    rate = Rate(k, n)
    ends = rate.wilson() if interval else None
    return {
        "successes": k,
        "n": n,
        "rate": rate.value,
        "interval": list(ends) if ends else None,
        **({"anytime": list(rate_sequence(k, n)) if n else None} if anytime else {}),
        "not_estimable": None if n else "no trial with an outcome is settled",
    }

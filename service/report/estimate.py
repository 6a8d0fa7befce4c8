"""A rate as it stands in the findings."""

from typing import Any

from service.evidence.rates import Rate


def estimate(k: int, n: int, *, interval: bool) -> dict[str, Any]:
    """k, n, rate and Wilson interval; without trials it is not estimable, with the reason."""
    rate = Rate(k, n)
    ends = rate.wilson() if interval else None
    return {
        "successes": k,
        "n": n,
        "rate": rate.value,
        "interval": list(ends) if ends else None,
        "not_estimable": None if n else "no trial with an outcome is settled",
    }

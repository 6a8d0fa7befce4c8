"""Numbers and rules as people read them; the same words on the terminal and on the dashboard."""

from collections.abc import Mapping
from typing import Any

_MINUTE_S = 60.0
_HOUR_S = 3600.0
_DAY_S = 86400.0


def rule(criterion: Mapping[str, Any]) -> str:
    """A criterion: `test_accuracy >= 0.9`."""
    return f"{criterion['metric']} {threshold(criterion)}"


def threshold(criterion: Mapping[str, Any]) -> str:
    """Its comparison: `>= 0.9`."""
    sign = "<=" if criterion["comparison"] == "at_most" else ">="
    return f"{sign} {criterion['threshold']:g}"


def rate(successes: int, settled: int) -> str:
    """`23 of 25  92.0 %`; without settled trials there is no rate."""
    return f"{successes} of {settled}  {100 * successes / settled:.1f} %" if settled else "-"


def duration(seconds: float) -> str:
    """Coarse on purpose: `40 s`, `12 min`, `3.5 h`, `2.1 days`."""
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < _DAY_S:
        return f"{seconds / _HOUR_S:.1f} h"
    return f"{seconds / _DAY_S:.1f} days"


def ended(arm: Mapping[str, Any]) -> int:
    """Terminal trials of an arm, whatever their end state."""
    return sum(arm["ended"].values())

"""Numbers and rules as people read them: the same on the terminal and on the dashboard."""

import math
from collections.abc import Mapping
from typing import Any

_MINUTE_S = 60.0
_HOUR_S = 3600.0
_DAY_S = 86400.0
#: beyond this a logarithm's number is not written out
_LARGEST_LOG = 600.0
_POINT = 0.01


def rule(criterion: Mapping[str, Any]) -> str:
    """A criterion: `test_accuracy >= 0.9`; one that was added also says when it is judged."""
    said = f"{criterion['metric']} {threshold(criterion)}"
    if _version(criterion) == 1:
        return said
    return f"{said} at {'the end' if criterion['at'] == 'end' else 'any evaluation'}"


def heading(criterion: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """A criterion beside a first one: its comparison alone where nothing else differs."""
    short = criterion is not first and _version(criterion) == 1
    return threshold(criterion) if short else rule(criterion)


def standing(criterion: Mapping[str, Any]) -> str:
    """What a criterion counts for: `primary`, `exploratory`, `exploratory, post hoc, version 2`."""
    parts = ["primary" if criterion["primary"] else "exploratory"]
    parts += ["post hoc"] if criterion.get("post_hoc") else []
    parts += [f"version {_version(criterion)}"] if _version(criterion) > 1 else []
    return ", ".join(parts)


def _version(criterion: Mapping[str, Any]) -> int:
    """The version at which a criterion appeared; services before versions do not say it."""
    return int(criterion.get("version", 1))


def threshold(criterion: Mapping[str, Any]) -> str:
    """Its comparison: `>= 0.9`."""
    sign = "<=" if criterion["comparison"] == "at_most" else ">="
    return f"{sign} {criterion['threshold']:g}"


def rate(successes: int, settled: int) -> str:
    """`23 of 25  92.0 %`; without settled trials there is no rate."""
    return f"{successes} of {settled}  {100 * successes / settled:.1f} %" if settled else "-"


def stopped(found: Mapping[str, Any], cohorts: int) -> str:
    """Why and where a stop rule ended a sweep: `stopped by evidence after cohort 7 of 20`."""
    why = "by evidence" if found["when"] == "evidence" else "as futile"
    return f"stopped {why} after cohort {found['cohort']} of {cohorts}"


def stop_rule(found: Mapping[str, Any]) -> str:
    """When a sweep stops: `at an e-value of 20, or once a difference of 5 points is ruled out`.

    Args:
        found: progress' `stop`.
    """
    parts = {
        "evidence": f"at an e-value of {1 / found['alpha']:.4g}",
        "futile": f"once a difference of {100 * (found['effect'] or 0):.3g} points is ruled out",
    }
    return ", or ".join(parts[when] for when in found["when"])


def silent(found: Mapping[str, Any]) -> str | None:
    """Why the stop rule of an extended sweep cannot end it any more; None where it can.

    Args:
        found: progress' `stop`.
    """
    if found.get("judged", True):
        return None
    spoke = found.get("spoke")
    if spoke is None:
        return "its stop rule is not judged any more: no cohort that was added lies before the last"
    why = "by evidence" if spoke["when"] == "evidence" else "as futile"
    return (
        f"its stop rule stopped it {why} after cohort {spoke['cohort']}, before it was extended, "
        "and is not judged again"
    )


def e_value(log_e: float) -> str:
    """An e-value to three digits: `28.4`, `1.2e+30`."""
    return f"{math.exp(min(log_e, _LARGEST_LOG)):.3g}"


def evidence(found: Mapping[str, Any]) -> str:
    """A contrast at any look: `noisy - plain +12.0 points [+3.1, +20.0], e-value 28.4, p 0.0352`.

    Args:
        found: one of progress' `evidence`.
    """
    name = f"{found['arm']} - {found['against']}"
    if not found["pairs"]:
        return f"{name}: no settled pair has both of its outcomes"
    low, high = found["interval"]
    return (
        f"{name} {points(found['difference'])} points [{points(low)}, {points(high)}], "
        f"e-value {e_value(found['log_e'])}, p {p(found['p'])}"
    )


def duration(seconds: float) -> str:
    """Coarse on purpose: `40 s`, `12 min`, `3.5 h`, `2.1 days`."""
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < _DAY_S:
        return f"{seconds / _HOUR_S:.1f} h"
    return f"{seconds / _DAY_S:.1f} days"


def eta(progress: Mapping[str, Any]) -> str | None:
    """`about 12 min left (10 min to 15 min)`; None where it is not known."""
    if progress.get("eta_s") is None:
        return None
    text = f"about {duration(progress['eta_s'])} left"
    if progress.get("eta_interval_s") is not None:
        low, high = map(duration, progress["eta_interval_s"])
        text += f" ({low} to {high})" if low != high else ""
    rule = progress.get("stop")
    may = rule and rule.get("stopped") is None and silent(rule) is None
    return text + (" unless it stops before" if may else "")


def percent(share: float | None) -> str:
    """`92.0 %`, `0.38 %` within a point of 0 or 100 %, or a dash where there is none."""
    if share is None:
        return "-"
    digits = 2 if 0 < share < _POINT or 1 - _POINT < share < 1 else 1
    return f"{100 * share:.{digits}f} %"


def points(share: float | None) -> str:
    """A difference of rates in percentage points, with its sign: `+72.0`, `-0.41`, or a dash."""
    if share is None:
        return "-"
    return f"{100 * share:+.{2 if 0 < abs(share) < _POINT else 1}f}"


def p(value: float | None) -> str:
    """A p value to four digits."""
    least = 1e-4
    if value is None:
        return "-"
    return f"< {least:.4f}" if value < least else f"{value:.4f}"


def moment(text: str | None) -> str:
    """An ISO time in UTC, to the second: `2026-11-24 13:05:10 UTC`."""
    return "-" if text is None else text[:19].replace("T", " ") + " UTC"

"""How the metric is spread over trials: an empirical distribution an arm, with its band."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from service.report.figures.figure import Figure, NotDrawn
from service.report.figures.palette import MOST_ARMS, QUIET, WIDTH, arm_colour, arm_dash
from service.report.holds import NOT_VALID, fixed_n_holds

_HEIGHT = 260
_SHARE = "share that reached x or better"
#: bands that can be told apart
_MOST_BANDS = 3


def ecdf(findings: Mapping[str, Any]) -> Figure | NotDrawn:
    """The share of each arm's trials whose final value is x or better, for every x at once.

    As the findings have it: a trial that diverged before it was measured is worse than every value,
    and the band (Dvoretzky, Kiefer & Wolfowitz) holds for a whole curve.
    """
    name = "ecdf"
    if findings["metrics_withheld"]:
        return NotDrawn(name, findings["metrics_withheld"])
    primary = next(c for c in findings["criteria"] if c["primary"])
    found = next(m for m in findings["metrics"] if m["metric"] == primary["metric"])
    arms = [arm for arm in found["arms"][:MOST_ARMS] if arm["ecdf"]]
    if not arms:
        return NotDrawn(name, f"no settled trial has a final value of {found['metric']}")
    points = [point[0] for arm in arms for point in arm["ecdf"]]
    edges = min(points), max(points)
    lower = found["better"] == "lower"
    banded = _banded([arm["arm"] for arm in arms], primary) if arms[0]["band"] else []
    rows = [row for arm in arms for row in _stairs(arm, edges, banded, lower=lower)]
    limits = [
        c["threshold"]
        for c in findings["criteria"]
        if c["metric"] == found["metric"] and c["at"] == "end"
    ]
    names = [arm["arm"] for arm in findings["arms"]][:MOST_ARMS]
    chart = _drawn(rows, names, found["metric"], limits, lower=lower)
    caption = _caption(found, arms, banded, at_limits=bool(limits), holds=fixed_n_holds(findings))
    return Figure(name, f"Distribution of {found['metric']}", caption, chart)


def _caption(
    found: Mapping[str, Any],
    arms: Sequence[Mapping[str, Any]],
    banded: Sequence[str],
    *,
    at_limits: bool,
    holds: bool,
) -> str:
    sizes = [arm["n"] for arm in arms]
    n = str(sizes[0]) if len(set(sizes)) == 1 else f"{min(sizes)} to {max(sizes)}"
    read = ": at a threshold (dashed), the success rate" if at_limits else ""
    whose = "" if len(banded) == len(arms) else f" (of {' and '.join(banded)})"
    band = f"band{whose}: 95 %, of a whole curve (DKW-Massart)" + (
        "" if holds else f", {NOT_VALID}"
    )
    unmeasured = sum(arm["n"] - arm["measured"] for arm in arms)
    return (
        f"Share of trials whose {found['metric']} at the end of the budget is x or better{read}; "
        + (band if banded else "no band, as none holds at a look that was chosen")
        + f"; n = {n} an arm."
        + (f" {unmeasured} without a value count as worse than every value." if unmeasured else "")
    )


def _banded(names: Sequence[str], primary: Mapping[str, Any]) -> list[str]:
    """Arms with a band: all if they are few, else those of the first contrast."""
    if len(names) <= _MOST_BANDS:
        return list(names)
    first = primary["contrasts"][:1]
    return [name for k in first for name in (k["arm"], k["against"])] or list(names[:2])


def _stairs(
    arm: Mapping[str, Any], edges: tuple[float, float], banded: Sequence[str], *, lower: bool
) -> list[dict[str, Any]]:
    """Points of one arm's curve, in order of x, from edge to edge of all arms' values."""
    shares = dict(arm["ecdf"])
    best, worst = edges if lower else edges[::-1]
    shares.setdefault(best, 0.0)
    shares.setdefault(worst, arm["measured"] / arm["n"])
    half = arm["band"] if arm["arm"] in banded else 0.0
    return [
        {"arm": arm["arm"], "x": x, "y": y, "low": max(0.0, y - half), "high": min(1.0, y + half)}
        for x, y in sorted(shares.items())
    ]


def _drawn(
    rows: list[dict[str, Any]],
    names: Sequence[str],
    metric: str,
    limits: Sequence[float],
    *,
    lower: bool,
) -> dict[str, Any]:
    stairs: Any = "step-after" if lower else "step-before"
    values = [row["x"] for row in rows]
    edges = [min(*values, *limits), max(*values, *limits)]
    scale = alt.Scale(domain=edges, nice=True, zero=False)
    x = alt.X("x:Q", title=metric, scale=scale)
    y = alt.Y("y:Q", title=_SHARE, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="~%"))
    layers: list[Any] = []
    if limits:
        marks = alt.Chart(alt.InlineData(values=[{"at": limit} for limit in limits]))
        rule = marks.mark_rule(color=QUIET, strokeDash=[4, 3])
        layers.append(rule.encode(x=alt.X("at:Q", title=metric, scale=scale)))
    banded = [row for row in rows if row["low"] < row["high"]]
    if banded:
        layers.append(
            alt.Chart(alt.InlineData(values=banded))
            .mark_area(opacity=0.13, interpolate=stairs)
            .encode(x=x, y=alt.Y("low:Q", title=_SHARE), y2="high:Q", color=arm_colour(names))
        )
    layers.append(
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(interpolate=stairs, strokeWidth=1.8)
        .encode(x=x, y=y, color=arm_colour(names), strokeDash=arm_dash(names))
    )
    sized = alt.layer(*layers).properties(width=WIDTH, height=_HEIGHT)
    found: dict[str, Any] = sized.to_dict(validate=False)
    return found

"""Time to success: the share of trials that have not yet succeeded, over the steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from service.report.figures.figure import Figure, NotDrawn
from service.report.figures.palette import MOST_ARMS, WIDTH, arm_colour, arm_dash
from service.report.holds import NOT_VALID, fixed_n_holds

_HEIGHT = 260
_WAITS = "share that has not succeeded"


def survival(findings: Mapping[str, Any]) -> Figure | NotDrawn:
    """Kaplan and Meier's curve of each arm at the primary threshold, as the findings have it."""
    name = "survival"
    primary = next(c for c in findings["criteria"] if c["primary"])
    found = primary["times"]
    if found is None:
        return NotDrawn(name, "success is judged at the end of the budget: set success.at to any")
    arms = [arm for arm in found["arms"][:MOST_ARMS] if arm["curve"]]
    if not arms:
        return NotDrawn(name, "no trial with an outcome is settled")
    rows = [
        {
            "arm": arm["arm"],
            "x": point["step"],
            "y": point["survival"],
            "low": point["survival"] if point["low"] is None else point["low"],
            "high": point["survival"] if point["high"] is None else point["high"],
        }
        for arm in arms
        for point in arm["curve"]
    ]
    sizes = [arm["n"] for arm in arms]
    n = str(sizes[0]) if len(set(sizes)) == 1 else f"{min(sizes)} to {max(sizes)}"
    whole = any(point["low"] is not None for arm in arms for point in arm["curve"])
    band = "band: 95 % at each step (Wilson)" if whole else "no band at a look that was chosen"
    if whole and not fixed_n_holds(findings):
        band += f", {NOT_VALID}"
    caption = (
        "Share of trials that have not yet met the primary threshold at any evaluation "
        f"(Kaplan-Meier, censored by the budget of {found['budget']} steps); {band}; n = {n} an "
        "arm. A trial that diverged never succeeds afterwards."
    )
    names = [arm["arm"] for arm in findings["arms"]][:MOST_ARMS]
    return Figure(name, "Time to success", caption, _stairs(rows, names, band=whole))


def _stairs(rows: list[dict[str, Any]], names: Sequence[str], *, band: bool) -> dict[str, Any]:
    base = alt.Chart(alt.InlineData(values=rows))
    x = alt.X("x:Q", title="step", axis=alt.Axis(format="~s"))
    y = alt.Y("y:Q", title=_WAITS, axis=alt.Axis(format="~%"), scale=alt.Scale(domain=[0, 1]))
    layers: list[Any] = []
    if band:
        layers.append(
            base.mark_area(opacity=0.13, interpolate="step-after").encode(
                x=x, y=alt.Y("low:Q", title=_WAITS), y2="high:Q", color=arm_colour(names)
            )
        )
    layers.append(
        base.mark_line(interpolate="step-after", strokeWidth=1.8).encode(
            x=x, y=y, color=arm_colour(names), strokeDash=arm_dash(names)
        )
    )
    sized = alt.layer(*layers).properties(width=WIDTH, height=_HEIGHT)
    found: dict[str, Any] = sized.to_dict(validate=False)
    return found

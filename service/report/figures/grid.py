"""A heat map of success rates over a grid of two keys, an arm a panel."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from service.report.figures.figure import Figure, NotDrawn
from service.report.figures.palette import INK, WIDTH
from service.words import rule

_MOST_VALUES = 40
_MOST_PANELS = 12
#: values a side beyond which a square has no room for its rate
_MOST_WRITTEN = 8
_SQUARE = 44
#: rates above which the squares are so dark that ink would not be read on them
_DARK = 0.45


def grid(findings: Mapping[str, Any]) -> Figure | NotDrawn:
    """Rates at the primary threshold."""
    name = "grid"
    wide = [key for key, values in findings["spec"]["grid"].items() if len(values) > 1]
    if len(wide) != 2:  # noqa: PLR2004 - the two sides of a map
        count = len(wide)
        return NotDrawn(name, f"a map needs two grid keys of several values; this grid has {count}")
    across, down = wide
    sizes = [len(findings["spec"]["grid"][key]) for key in wide]
    if max(sizes) > _MOST_VALUES:
        return NotDrawn(name, f"a key has {max(sizes)} values; {_MOST_VALUES} are readable")
    arms = [arm["arm"] for arm in findings["arms"]][:_MOST_PANELS]
    primary = next(c for c in findings["criteria"] if c["primary"])
    rows = [
        {
            "arm": e["arm"],
            "across": str(e["setting"][across]),
            "down": str(e["setting"][down]),
            "rate": e["rate"],
            "counts": f"{e['successes']}/{e['n']}",
        }
        for e in primary["cells"]
        if e["n"] and e["arm"] in arms
    ]
    if not rows:
        return NotDrawn(name, "no trial with an outcome is settled")
    highest = max(row["rate"] for row in rows) or 1.0
    chart = _panels(findings["spec"]["grid"], across, down, arms, rows, highest)
    plan = findings["plan"]
    more = len(findings["arms"]) - len(arms)
    caption = (
        f"Share of settled trials with {rule(primary)}, by {across} and {down}; "
        f"{plan['settled_seeds']} of {plan['seeds']} seeds a cell; {findings['estimand']}. "
        "Point estimates: their intervals stand in the tables."
        + (f" {more} more arms are left out." if more else "")
    )
    return Figure(name, "Success rates over the grid", caption, chart)


def _panels(
    values: Mapping[str, Any],
    across: str,
    down: str,
    arms: list[str],
    rows: list[dict[str, Any]],
    highest: float,
) -> dict[str, Any]:
    columns = len(values[across])
    side = min(_SQUARE, WIDTH // columns)
    written = max(columns, len(values[down])) <= _MOST_WRITTEN
    scale = alt.Scale(domain=[0, highest], range=["#f3f7fa", "#8fbcd9", "#2a78a8", "#0b3c5d"])
    legend = alt.Legend(
        title="success rate", format="~%", orient="bottom", gradientLength=180, tickCount=3
    )
    x = alt.X(
        "across:O",
        sort=[str(v) for v in values[across]],
        title=across,
        axis=alt.Axis(labelAngle=0, ticks=False, domain=False),
    )
    y = alt.Y(
        "down:O",
        sort=[str(v) for v in values[down]],
        title=down,
        axis=alt.Axis(ticks=False, domain=False),
    )
    base = alt.Chart().encode(x=x, y=y)
    squares = base.mark_rect(stroke="white", strokeWidth=1).encode(
        color=alt.Color("rate:Q", scale=scale, legend=legend)
    )
    layers = [squares]
    if written:
        dark = alt.datum.rate > _DARK * highest
        layers.append(
            base.mark_text(fontSize=10).encode(
                text="counts:N", color=alt.condition(dark, alt.value("white"), alt.value(INK))
            )
        )
    panel = alt.layer(*layers).properties(width={"step": side}, height={"step": min(side, 30)})
    beside = max(1, WIDTH // (columns * side + 40))
    whole = panel.facet(
        facet=alt.Facet("arm:N", sort=arms, header=alt.Header(title=None)),
        columns=beside,
        data=alt.InlineData(values=rows),
        spacing=16,
    )
    found: dict[str, Any] = whole.to_dict(validate=False)
    return found

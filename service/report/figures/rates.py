"""Rates with their intervals, as a forest: of the arms at every threshold, and of the cells."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from service.report.figures.figure import Figure, NotDrawn
from service.report.figures.palette import INK, WIDTH, arm_colour
from service.report.holds import NOT_VALID, fixed_n_holds
from service.words import rule, standing

#: rows that a picture has room for
MOST_ROWS = 60
MOST_CELLS = 40
_ROW = 20
_SHARE = alt.Axis(format="~%", title="success rate", tickCount=6)
_NAMES = alt.Axis(domain=False, ticks=False, labelPadding=8, labelLimit=190)


def rates(findings: Mapping[str, Any]) -> Figure | NotDrawn:
    """Every arm at the primary threshold and at as many others as there is room for."""
    arms = [arm["arm"] for arm in findings["arms"]]
    shown = arms[:MOST_ROWS]
    every = sorted(findings["criteria"], key=lambda c: not c["primary"])
    criteria = every[: max(1, MOST_ROWS // len(shown))]
    looking = not fixed_n_holds(findings)
    rows = [
        row | {"rule": _named(c)}
        for c in criteria
        for row in _rows(c["arms"], looking=looking)
        if row["n"]
    ]
    if not rows:
        return NotDrawn("rates", "no trial with an outcome is settled")
    rows = [row for row in rows if row["arm"] in shown]
    layered = _forest(
        alt.Y("arm:N", sort=list(shown), title=None, axis=_NAMES),
        arm_colour(shown, legend=False),
    ).properties(width=WIDTH, height={"step": _ROW})
    chart = alt.Facet("rule:N", sort=[_named(c) for c in criteria], header=alt.Header(title=None))
    whole = layered.facet(row=chart, data=alt.InlineData(values=rows), spacing=14)
    caption = (
        f"Successes of settled trials with an outcome by arm and threshold; {_estimand(findings)}; "
        f"{_bars(findings)}{_left_out(len(arms) - len(shown), 'arms')}"
        f"{_left_out(len(every) - len(criteria), 'thresholds')}"
    )
    return Figure("rates", "Success rates", caption, whole.to_dict(validate=False))


def cells(findings: Mapping[str, Any]) -> Figure | NotDrawn:
    """Every cell at the primary threshold."""
    primary = next(c for c in findings["criteria"] if c["primary"])
    if len(primary["cells"]) <= len(primary["arms"]):
        return NotDrawn("cells", "the grid has one setting, so that a cell is an arm")
    if len(primary["cells"]) > MOST_CELLS:
        count = len(primary["cells"])
        return NotDrawn("cells", f"{count} cells are more than the {MOST_CELLS} that are readable")
    settings = list(dict.fromkeys(_setting(e["setting"]) for e in primary["cells"]))
    rows = [r for r in _rows(primary["cells"], looking=False) if r["n"]]
    if not rows:
        return NotDrawn("cells", "no trial with an outcome is settled")
    names = [arm["arm"] for arm in findings["arms"]]
    chart = _forest(
        alt.Y("setting:N", sort=settings, title=None, axis=_NAMES),
        arm_colour(names),
        alt.YOffset("arm:N", sort=names),
    ).properties(width=WIDTH - 100, height={"step": 16, "for": "offset"})
    whole = alt.layer(chart, data=alt.InlineData(values=rows))
    caption = (
        f"Success ({rule(primary)}) by setting and arm; {_estimand(findings)}; "
        f"{_bars(findings, cells=True)} The best cell is the best of {len(primary['cells'])}: its "
        "rate is flattered by the choice."
    )
    return Figure("cells", "Success rates by setting", caption, whole.to_dict(validate=False))


def _forest(y: alt.Y, colour: alt.Color, offset: alt.YOffset | None = None) -> Any:
    """Points, bars and k/n of rows with rate, low, high and counts."""
    where = {"y": y} if offset is None else {"y": y, "yOffset": offset}
    x = alt.X("low:Q", axis=_SHARE, scale=alt.Scale(zero=True, nice=True, domainMin=0))
    base = alt.Chart()
    bars = base.mark_rule(strokeWidth=1.6).encode(x=x, x2="high:Q", color=colour, **where)
    points = base.mark_point(filled=True, size=46, opacity=1).encode(
        x="rate:Q", color=colour, **where
    )
    counts = base.mark_text(align="left", dx=7, fontSize=10, color=INK).encode(
        x="high:Q", text="counts:N", **where
    )
    return alt.layer(bars, points, counts)


def _rows(estimates: Sequence[Mapping[str, Any]], *, looking: bool) -> list[dict[str, Any]]:
    """Rates with the interval that holds: at any look, or of the whole plan."""
    found = []
    for e in estimates:
        low, high = e["anytime" if looking else "interval"] or (e["rate"], e["rate"])
        found.append(
            {
                "arm": e["arm"],
                "setting": _setting(e.get("setting", {})),
                "n": e["n"],
                "rate": e["rate"],
                "low": low,
                "high": high,
                "counts": f"{e['successes']}/{e['n']}",
            }
        )
    return found


def _setting(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _named(c: Mapping[str, Any]) -> str:
    return f"{rule(c)} ({standing(c)})"


def _estimand(findings: Mapping[str, Any]) -> str:
    said: str = findings["estimand"]
    return said


def _bars(findings: Mapping[str, Any], *, cells: bool = False) -> str:
    """What the bars are, and of which seeds."""
    plan = findings["plan"]
    if fixed_n_holds(findings):
        return f"bars: Wilson's 95 % interval, {plan['seeds']} seeds a cell."
    seeds = f"{plan['settled_seeds']} of {plan['seeds']} seeds a cell are settled."
    if cells and plan["complete"]:
        return f"bars: Wilson's 95 % interval, {NOT_VALID}; {plan['seeds']} seeds a cell."
    if cells:
        return f"no bars, as no interval of a cell holds at this look; {seeds}"
    return f"bars: 95 % confidence sequence, which holds at any look; {seeds}"


def _left_out(count: int, what: str) -> str:
    return f" {count} more {what} are left out." if count > 0 else ""

"""How training went: quantile bands of the evaluations.

They read the evaluation curves of the first seeds of every cell, as many as fit a fixed number of
trials: which those are depends on nothing that happened.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from service.evidence.curve import Curve
from service.plan import Arm, Criterion, Plan
from service.report.figures.figure import Figure, NotDrawn
from service.report.figures.palette import QUIET, WIDTH, arm_colour

#: trials whose curves are read, and evaluations that are drawn
MOST_TRIALS = 2000
_MOST_STEPS = 80
_MOST_PANELS = 8
_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Course:
    """What was evaluated of a trial.

    Attributes:
        arm: its index.
        state: its end state.
        curve: its evaluations.
    """

    arm: int
    state: str
    curve: Curve


def seeds_read(plan: Plan) -> int:
    """How many seeds of every cell: at least one."""
    return max(1, MOST_TRIALS // len(plan.cells))


def courses(plan: Plan, curves: Sequence[Course]) -> Figure | NotDrawn:
    """Quantile bands of the primary metric over the steps, an arm a panel."""
    name, rule = "courses", _primary(plan)
    steps = _steps(curves, rule.metric)
    if len(steps) < 2:  # noqa: PLR2004 - a line has two ends
        return NotDrawn(name, f"{rule.metric} was evaluated at fewer than two steps of a trial")
    shown = [arm for arm in _first(plan) if any(c.arm == arm.index for c in curves)]
    rows = [row for arm in shown for row in _bands(arm, curves, rule, steps)]
    names = [arm.name for arm in plan.arms]
    chart = _panels(rows, names, [arm.name for arm in shown], rule)
    leaves = any(structure.pack.leave for structure in plan.structures)
    caption = (
        f"{rule.metric} at the evaluations of {len(curves)} settled trials (the first "
        f"{min(plan.seeds, seeds_read(plan))} seeds of each cell at most). Line: median; bands: "
        "the middle 50 % and 80 % of the trials, not intervals of an estimate. A trial that "
        "diverged counts as worse than every value"
        + ("; one that left at success keeps its last value." if leaves else ".")
        + (f" {len(plan.arms) - len(shown)} arms left out." if len(shown) < len(plan.arms) else "")
    )
    return Figure(name, f"{rule.metric} during training", caption, chart)


def _primary(plan: Plan) -> Criterion:
    return next(r for r in plan.criteria if r.primary)


def _first(plan: Plan) -> list[Arm]:
    """The arms with a panel: those of the primary contrast in any case."""
    contrast = plan.contrast
    mine = [a for a in plan.arms if contrast and a.name in (contrast.arm, contrast.against)]
    rest = [a for a in plan.arms if a not in mine]
    kept = {a.index for a in (*mine, *rest[: _MOST_PANELS - len(mine)])}
    return [a for a in plan.arms if a.index in kept]


def _steps(curves: Iterable[Course], metric: str) -> list[int]:
    """The steps at which the metric was evaluated, thinned evenly, the last kept."""
    found: set[int] = set()
    for c in curves:
        values = c.curve.metrics.get(metric, ())
        found.update(s for s, v in zip(c.curve.steps, values, strict=False) if v is not None)
    steps = sorted(found)
    if len(steps) > _MOST_STEPS:
        places = np.unique(np.linspace(0, len(steps) - 1, _MOST_STEPS).round().astype(int))
        steps = [steps[i] for i in places]
    return steps


def _bands(
    arm: Arm, curves: Sequence[Course], rule: Criterion, steps: list[int]
) -> list[dict[str, Any]]:
    worst = math.inf if rule.comparison == "at_most" else -math.inf
    values = np.array(
        [_at(c, rule.metric, steps, worst) for c in curves if c.arm == arm.index]
    )  # (trials, steps)
    found = np.quantile(values, _LEVELS, axis=0, method="inverted_cdf")
    lowest, highest = _finite(values)
    rows = []
    for i, step in enumerate(steps):
        p10, p25, p50, p75, p90 = np.clip(found[:, i], lowest, highest).tolist()
        median = p50 if np.isfinite(found[2, i]) else None
        rows.append(
            {
                "arm": arm.name,
                "step": step,
                "p10": p10,
                "p25": p25,
                "p50": median,
                "p75": p75,
                "p90": p90,
            }
        )
    return rows


def _finite(values: NDArray[np.float64]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _at(c: Course, metric: str, steps: list[int], worst: float) -> NDArray[np.float64]:
    """(T,) the values at these steps: the last one kept by who left, the worst once diverged."""
    values = c.curve.metrics.get(metric, [None] * len(c.curve.steps))
    known = {s: v for s, v in zip(c.curve.steps, values, strict=True) if v is not None}
    after = list(known.values())[-1] if known and c.state == "left" else worst
    last = max(known, default=-1)
    row, held = [], worst
    for step in steps:
        held = known.get(step, held)
        row.append(after if step > last else held)
    return np.array(row)


def _panels(
    rows: list[dict[str, Any]], names: list[str], shown: list[str], rule: Criterion
) -> dict[str, Any]:
    columns = min(2, len(shown))
    width = (WIDTH - 30) // columns
    x = alt.X("step:Q", title="step", axis=alt.Axis(tickCount=4, format="~s"))
    base = alt.Chart()
    colour = arm_colour(names, legend=False)
    y = alt.Y("p10:Q", title=rule.metric, scale=alt.Scale(zero=False))
    layers = [
        base.mark_area(opacity=0.16).encode(x=x, y=y, y2="p90:Q", color=colour),
        base.mark_area(opacity=0.3).encode(
            x=x, y=alt.Y("p25:Q", title=rule.metric), y2="p75:Q", color=colour
        ),
        base.mark_line(strokeWidth=2).encode(
            x=x, y=alt.Y("p50:Q", title=rule.metric), color=colour
        ),
        base.mark_rule(color=QUIET, strokeDash=[4, 3]).encode(y=alt.datum(rule.threshold)),
    ]
    panel = alt.layer(*layers).properties(width=width, height=150)
    facet = alt.Facet("arm:N", sort=shown, header=alt.Header(title=None, labelLimit=width))
    whole = panel.facet(facet=facet, columns=columns, data=alt.InlineData(values=rows), spacing=16)
    found: dict[str, Any] = whole.to_dict(validate=False)
    return found

"""The metrics themselves: what trials reached at the end, and how the arms compare in it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence.values import Better, mean_of, summarise
from service.plan import Plan
from service.report.contrasts import Compared
from service.report.preferences import preference
from service.report.sample import Sample

LEAVERS = (
    "trials leave at success, so that their last values are not of one moment: means and "
    "distributions do not exist"
)


def withheld(plan: Plan) -> str | None:
    """Why final values are not compared; None where they are."""
    leaves = any(structure.pack.leave is not None for structure in plan.structures)
    return LEAVERS if leaves else None


def finals(sample: Sample, arm: int) -> dict[str, dict[str, float | int | None]]:
    """Metric -> count, mean, lowest and highest final value of an arm's settled outcomes.

    Means are summed exactly, so that no order of arrival shows.
    """
    here = (sample.arm == arm) & sample.has_outcome()
    if not here.any():
        return {}
    found = {}
    for name, column in sample.final.items():
        values = column[here & ~np.isnan(column)]
        count = len(values)
        found[name] = {
            "count": count,
            "mean": mean_of(values) if count else None,
            "lowest": float(values.min()) if count else None,
            "highest": float(values.max()) if count else None,
        }
    return found


def judged(
    plan: Plan, sample: Sample, compared: Sequence[Compared], *, complete: bool
) -> list[dict[str, Any]]:
    """The metrics that criteria judge, in their order: of these the spec says which way is better.

    A section a metric: each arm's mean, best, quantiles and ECDF with its band, and each contrast's
    Wilcoxon test and P(arm better than against).
    """
    better: dict[str, Better] = {}
    for rule in plan.criteria:
        better.setdefault(rule.metric, "lower" if rule.comparison == "at_most" else "higher")
    has = sample.has_outcome()
    nowhere = np.full(sample.trials, np.nan)
    sections = []
    for name, way in better.items():
        column = sample.final.get(name, nowhere)
        arms = [(arm, column[has & (sample.arm == arm.index)]) for arm in plan.arms]
        sections.append(
            {
                "metric": name,
                "better": way,
                "arms": [{"arm": arm.name} | _arm(v, way, complete=complete) for arm, v in arms],
                "contrasts": [preference(c, column, has, way) for c in compared if complete],
            }
        )
    return sections


def _arm(values: NDArray[np.float64], better: Better, *, complete: bool) -> dict[str, Any]:
    found = asdict(summarise(values, better))
    reason = found.pop("reason")
    return found | {
        "quantiles": [list(q) for q in found["quantiles"]],
        "ecdf": [list(point) for point in found["ecdf"]],
        "band": found["band"] if complete else None,
        "not_estimable": None if found["measured"] else reason,
    }

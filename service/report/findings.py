"""Findings: a pure function of the plan and of the settled trials."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.plan import Arm, Criterion, Plan
from service.report.contrasts import contrast
from service.report.estimate import estimate
from service.report.metrics import finals
from service.report.pairing import Pairing, pairing
from service.report.recount import Counts
from service.report.sample import Sample

Verdict = NDArray[np.int8]


def findings(
    plan: Plan,
    settled_cohorts: int,
    sample: Sample,
    verdicts: Sequence[Verdict],
    cells: Counts,
    arms: Counts,
) -> dict[str, Any]:
    """What a report says, as JSON.

    Args:
        verdicts: what `sample.won` says by each criterion, in order.
        cells, arms: the recount.
    """
    complete = settled_cohorts == plan.cohorts
    compared = [(arm, against, pairing(sample, arm, against)) for arm, against in _compared(plan)]
    return {
        "spec": plan.spec,
        "plan": _plan(plan, settled_cohorts, complete=complete),
        "estimand": _estimand(plan),
        "arms": [
            {
                "arm": arm.name,
                "end_states": arms.states(arm.index),
                "metrics": finals(sample, arm.index),
            }
            for arm in plan.arms
        ],
        "criteria": [
            _criterion(plan, rule, verdict, cells, arms, compared, complete=complete)
            for rule, verdict in zip(plan.criteria, verdicts, strict=True)
        ],
        "outcomes_hash": sample.outcomes_hash,
    }


def _plan(plan: Plan, settled_cohorts: int, *, complete: bool) -> dict[str, Any]:
    """How much of the plan the findings rest on, and why intervals may be missing."""
    reason = (
        "intervals and p need the whole plan: a fixed-n interval at a moment chosen by looking is "
        "not valid"
    )
    return {
        "seeds": plan.seeds,
        "cells": len(plan.cells),
        "trials": plan.trials,
        "cohorts": plan.cohorts,
        "settled_cohorts": settled_cohorts,
        "settled_seeds": min(plan.seeds, settled_cohorts * plan.cohort),
        "complete": complete,
        "no_intervals": None if complete else reason,
    }


def _estimand(plan: Plan) -> str:
    at = plan.criteria[0].at
    steps = plan.structures[0].pack.steps
    if at == "end":
        return f"success judged at the end of the budget of {steps} steps"
    return f"success at any evaluation within the budget of {steps} steps"


def _criterion(
    plan: Plan,
    rule: Criterion,
    verdict: Verdict,
    cells: Counts,
    arms: Counts,
    compared: Sequence[tuple[Arm, Arm, Pairing]],
    *,
    complete: bool,
) -> dict[str, Any]:
    """A criterion: rates of arms and cells, and the contrasts."""
    by_index = sorted(plan.cells, key=lambda cell: cell.index)
    won_cells, won_arms = cells.won[:, rule.index].tolist(), arms.won[:, rule.index].tolist()
    n_cells, n_arms = cells.n.tolist(), arms.n.tolist()
    return {
        "metric": rule.metric,
        "comparison": rule.comparison,
        "threshold": rule.threshold,
        "at": rule.at,
        "primary": rule.primary,
        "arms": [
            {"arm": arm.name}
            | estimate(won_arms[arm.index], n_arms[arm.index], interval=complete, anytime=True)
            for arm in plan.arms
        ],
        "cells": [
            {
                "arm": plan.arms[cell.arm].name,
                "setting": dict(plan.settings[cell.setting].values),
                "end_states": cells.states(cell.index),
            }
            | estimate(won_cells[cell.index], n_cells[cell.index], interval=complete)
            for cell in by_index
        ],
        "contrasts": [
            contrast(plan, rule, arm, against, pairs, verdict, complete=complete)
            for arm, against, pairs in compared
        ],
    }


def _compared(plan: Plan) -> list[tuple[Arm, Arm]]:
    """The primary contrast first, then every other arm against the same one."""
    if plan.contrast is None:
        return []
    by_name = {arm.name: arm for arm in plan.arms}
    first, against = by_name[plan.contrast.arm], by_name[plan.contrast.against]
    others = [arm for arm in plan.arms if arm not in (first, against)]
    return [(arm, against) for arm in (first, *others)]

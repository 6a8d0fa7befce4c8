"""Findings: a pure function of the plan and of the settled trials."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence.rates import Rate
from service.evidence.several import holm
from service.plan import Criterion, Plan
from service.report.blocks import Members, members, several
from service.report.contrasts import Compared, contrast
from service.report.estimate import estimate, estimate_arm
from service.report.pairing import pairing
from service.report.recount import Counts
from service.report.sample import Sample, Verdict
from service.report.selection import best_cell
from service.report.times import times
from service.report.values import finals, judged, withheld
from service.store.progress import Stopped


def findings(
    plan: Plan,
    settled_cohorts: int,
    stopped: Stopped | None,
    sample: Sample,
    verdicts: Sequence[Verdict],
    first_steps: Mapping[int, NDArray[np.int32]],
    cells: Counts,
    arms: Counts,
) -> dict[str, Any]:
    """What a report says, as JSON.

    Args:
        settled_cohorts: how many cohorts there are findings of.
        stopped: why there are no more, where a stop rule said so.
        verdicts: what `sample.won` says by each criterion, in order.
        first_steps: of criteria judged at any evaluation, as `firsts.first_steps` finds them.
        cells, arms: the recount.
    """
    complete = settled_cohorts == plan.cohorts and not plan.extensions
    compared = [Compared(a, b, pairing(sample, a, b)) for a, b in plan.compared]
    blocks, why = members(plan, sample), withheld(plan)
    criteria = [
        _criterion(plan, rule, verdict, cells, arms, compared, blocks, complete=complete)
        | {
            "times": times(plan, sample, first_steps[rule.index], compared, complete=complete)
            if rule.index in first_steps
            else None
        }
        for rule, verdict in zip(plan.criteria, verdicts, strict=True)
    ]
    _adjust(criteria)
    return {
        "spec": plan.spec,
        "plan": _plan(plan, settled_cohorts, stopped, complete=complete),
        "estimand": _estimand(plan),
        "arms": [
            {
                "arm": arm.name,
                "end_states": ended,
                "metrics": {} if why else finals(sample, arm.index),
            }
            for arm, ended in zip(plan.arms, arms.states(), strict=True)
        ],
        "criteria": criteria,
        "metrics": [] if why else judged(plan, sample, compared, complete=complete),
        "metrics_withheld": why,
        "outcomes_hash": sample.outcomes_hash,
        **_extended(plan),
    }


def _extended(plan: Plan) -> dict[str, Any]:
    """How the sweep was extended, and what stood at its first plan; nothing of one never was."""
    if not plan.extensions:
        return {}
    return {"extensions": [asdict(e) for e in plan.extensions], "first_plan": plan.met}


def _plan(
    plan: Plan, settled_cohorts: int, stopped: Stopped | None, *, complete: bool
) -> dict[str, Any]:
    """How much of the plan the findings rest on, and why intervals may be missing.

    `claim_by` says what carries a claim: fixed-n interval and test at the end of the plan, or,
    where evidence may stop or has stopped the sweep, what holds at any look.
    """
    reason = (
        "intervals and p need the whole plan: a fixed-n interval at a moment chosen by looking is "
        "not valid"
    )
    found, by_evidence = None, plan.stop is not None and "evidence" in plan.stop.when
    if stopped is not None and plan.stop is not None:
        found = asdict(stopped) | {"alpha": plan.stop.alpha}
        reason = "fixed-n intervals and p are not valid after stopping"
    elif plan.extensions:
        reason = "fixed-n intervals and p are not valid after an extension"
    return {
        "seeds": plan.seeds,
        "cells": len(plan.cells),
        "trials": plan.trials,
        "cohorts": plan.cohorts,
        "settled_cohorts": settled_cohorts,
        "settled_seeds": min(plan.seeds, settled_cohorts * plan.cohort),
        "complete": complete,
        "stopped": found,
        "claim_by": "anytime" if found or by_evidence or plan.extensions else "fixed_n",
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
    compared: Sequence[Compared],
    blocks: Members | None,
    *,
    complete: bool,
) -> dict[str, Any]:
    """A criterion: rates of arms and cells, and the contrasts."""
    by_arm = list(zip(arms.won[:, rule.index].tolist(), arms.n.tolist(), strict=True))
    by_cell = list(zip(cells.won[:, rule.index].tolist(), cells.n.tolist(), strict=True))
    rate_of = {(c.arm, c.setting): Rate(*by_cell[c.index]) for c in plan.cells}
    ended = cells.states()
    shown = [
        {
            "arm": plan.arms[cell.arm].name,
            "setting": dict(plan.settings[cell.setting].values),
            "end_states": ended[cell.index],
        }
        | estimate(*by_cell[cell.index], interval=complete)
        for cell in sorted(plan.cells, key=lambda cell: cell.index)
    ]
    return {
        "metric": rule.metric,
        "comparison": rule.comparison,
        "threshold": rule.threshold,
        "at": rule.at,
        "primary": rule.primary,
        "version": rule.version,
        "post_hoc": rule.post_hoc,
        "arms": [
            {"arm": arm.name} | estimate_arm(*by_arm[arm.index], interval=complete)
            for arm in plan.arms
        ],
        "cells": shown,
        "selected": best_cell(shown, len(plan.arms)),
        "contrasts": [
            contrast(plan, rule, c, verdict, _by_setting(plan, c, rate_of), complete=complete)
            for c in compared
        ],
        "several": several(blocks, verdict, complete=complete) if blocks else None,
    }


def _by_setting(
    plan: Plan, c: Compared, rates: Mapping[tuple[int, int], Rate]
) -> list[tuple[Rate, Rate]]:
    """The rates of both arms in each setting."""
    nothing = Rate(0, 0)
    return [
        (rates.get((c.arm.index, s.index), nothing), rates.get((c.against.index, s.index), nothing))
        for s in plan.settings
    ]


def _adjust(criteria: Sequence[dict[str, Any]]) -> None:
    """Gives every exploratory contrast Holm's p over all of them, at all criteria together."""
    contrasts = [k for c in criteria for k in c["contrasts"]]
    exploratory = [k for k in contrasts if k["exploratory"]]
    adjusted = dict(zip(map(id, exploratory), holm([k["p"] for k in exploratory]), strict=True))
    for k in contrasts:
        k["holm"] = adjusted.get(id(k))

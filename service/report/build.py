"""Builds a report from settled outcomes; nothing in it is computed from arrivals."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from models.catalog import experiments
from service.plan import Arm, Criterion, Plan
from service.report.canonical import digest, digest_lines
from service.report.contrasts import contrast
from service.report.estimate import estimate
from service.report.metrics import Finals
from service.report.runlog import run_log
from service.store import evidence
from service.store.plans import plan_of
from service.store.progress import CellCounts, Progress, cell_counts, progress
from service.store.tables import END_STATES, HAS_OUTCOME
from service.structures import data_sets


@dataclass(frozen=True)
class Report:
    """The product.

    Attributes:
        findings: a function of the spec and the settled cohorts, and of nothing else.
        findings_hash: SHA-256 of the findings' canonical JSON.
        run_log: times, attempts, workers, numerics classes; not hashed.
        data: names of the fixed data sets that trials are judged on, as the catalogue knows them.
    """

    findings: Mapping[str, Any]
    findings_hash: str
    run_log: Mapping[str, Any]
    data: tuple[str, ...] = ()


def build(session: Session, sweep: str) -> Report:
    """The report of a sweep as it stands: complete, or of the cohorts that are settled.

    Raises:
        UnknownSweepError: there is no such sweep.
    """
    plan = plan_of(session, sweep)
    now = progress(session, sweep)
    complete = now.settled_cohorts == now.cohorts
    finals = Finals(len(plan.arms))
    arm_of = {cell.index: cell.arm for cell in plan.cells}
    outcomes_hash = digest_lines(_noted(evidence.settled_outcomes(session, sweep), finals, arm_of))
    counts = cell_counts(session, sweep)
    findings: dict[str, Any] = {
        "spec": plan.spec,
        "plan": _plan(plan, now, complete=complete),
        "estimand": _estimand(plan),
        "arms": [
            {
                "arm": arm.name,
                "end_states": dict(now.arms[arm.index].settled),
                "metrics": finals.of(arm.index),
            }
            for arm in plan.arms
        ],
        "criteria": [
            _criterion(session, sweep, plan, now, counts, rule, complete=complete)
            for rule in plan.criteria
        ],
        "outcomes_hash": outcomes_hash,
    }
    return Report(findings, digest(findings), run_log(session, sweep), _data(plan))


def _data(plan: Plan) -> tuple[str, ...]:
    experiment = experiments().get(plan.experiment)
    return () if experiment is None else data_sets(plan, experiment)  # None: not installed any more


def _noted(
    lines: Iterator[dict[str, Any]], finals: Finals, arm_of: Mapping[int, int]
) -> Iterator[dict[str, Any]]:
    for line in lines:
        finals.add(arm_of[line["cell"]], line["metrics"])
        yield line


def _plan(plan: Plan, now: Progress, *, complete: bool) -> dict[str, Any]:
    """How much of the plan the findings rest on, and why intervals may be missing."""
    reason = (
        "intervals and p need the whole plan: a fixed-n interval at a moment chosen by looking is "
        "not valid"
    )
    return {
        "seeds": plan.seeds,
        "cells": len(plan.cells),
        "trials": plan.trials,
        "cohorts": now.cohorts,
        "settled_cohorts": now.settled_cohorts,
        "settled_seeds": min(plan.seeds, now.settled_cohorts * plan.cohort),
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
    session: Session,
    sweep: str,
    plan: Plan,
    now: Progress,
    counts: list[CellCounts],
    rule: Criterion,
    *,
    complete: bool,
) -> dict[str, Any]:
    return {
        "metric": rule.metric,
        "comparison": rule.comparison,
        "threshold": rule.threshold,
        "at": rule.at,
        "primary": rule.primary,
        "arms": [
            {"arm": arm.name}
            | estimate(
                now.arms[arm.index].successes[rule.index],
                now.arms[arm.index].settled_trials,
                interval=complete,
                anytime=True,
            )
            for arm in plan.arms
        ],
        "cells": [
            {
                "arm": plan.arms[cell.arm].name,
                "setting": dict(plan.settings[cell.setting].values),
                "end_states": {s: cell.settled[s] for s in END_STATES},
            }
            | estimate(
                cell.successes[rule.index],
                sum(cell.settled[s] for s in HAS_OUTCOME),
                interval=complete,
            )
            for cell in counts
        ],
        "contrasts": [
            contrast(session, sweep, plan, rule, arm, against, complete=complete)
            for arm, against in _compared(plan)
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

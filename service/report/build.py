"""Builds a report from settled outcomes; nothing in it is computed from arrivals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from models.catalog import experiments
from service.plan import Plan
from service.report.bundle.manifest import bundle_hash
from service.report.canonical import digest
from service.report.findings import findings
from service.report.firsts import first_steps
from service.report.recount import check, of_arms, recount
from service.report.rounding import rounded
from service.report.runlog import run_log
from service.report.sample import read, won
from service.store.plans import plan_of
from service.store.progress import cell_counts, progress
from service.structures import data_sets


@dataclass(frozen=True)
class Report:
    """The product.

    Attributes:
        findings: a function of the spec and the settled cohorts, and of nothing else; what is
            derived has 10 significant digits (`service.report.rounding`).
        findings_hash: SHA-256 of the findings' canonical JSON.
        run_log: times, attempts, workers, numerics classes, the bundle's hash; not hashed.
        data: names of the fixed data sets that trials are judged on, as the catalogue knows them.
    """

    findings: Mapping[str, Any]
    findings_hash: str
    run_log: Mapping[str, Any]
    data: tuple[str, ...] = ()


def build(session: Session, sweep: str) -> Report:
    """The report of a sweep as it stands: complete, or of the cohorts that are settled.

    Every settled trial is read once; all numbers come from what was read.

    Raises:
        UnknownSweepError: there is no such sweep.
        MiscountError: a settled counter is not what its outcomes come to.
        CurveError: an evaluation curve contradicts its outcome.
    """
    plan = plan_of(session, sweep)
    now = progress(session, sweep)
    sample = read(session, sweep, plan)
    verdicts = [won(sample, rule) for rule in plan.criteria]
    cells = recount(plan, sample, verdicts)
    arms = of_arms(plan, cells)
    check(plan, cells, arms, cell_counts(session, sweep), now)
    by_index = {rule.index: v for rule, v in zip(plan.criteria, verdicts, strict=True)}
    steps = first_steps(session, sweep, plan, sample, by_index)
    found = rounded(
        findings(plan, now.settled_cohorts, now.stopped, sample, verdicts, steps, cells, arms)
    )
    log = {**run_log(session, sweep), "bundle_hash": bundle_hash(found)}
    return Report(found, digest(found), log, _data(plan))


def _data(plan: Plan) -> tuple[str, ...]:
    experiment = experiments().get(plan.experiment)
    return () if experiment is None else data_sets(plan, experiment)  # None: not installed any more

"""Trials as records: pages by key, never offsets, and one with everything that is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from service.store.errors import UnknownTrialError
from service.store.tables import (
    HAS_OUTCOME,
    arms,
    cells,
    is_in,
    outcomes,
    results,
    settings,
    successes,
    sweeps,
    trials,
)
from workers.messages import MetricRecord

#: the largest id, and the largest index, that a column holds
MOST_ID, MOST_INDEX = 2**63 - 1, 2**31 - 1
_SETTLED = trials.c.cohort < sweeps.c.settled_cohorts


@dataclass(frozen=True)
class TrialView:
    """A trial; outcome fields are None until it has one.

    The record is whole whether or not its cohort is `settled`: who shows it must look at that.
    """

    id: int
    sweep: str
    arm: str
    setting: Mapping[str, Any]
    cell: int
    seed: int
    cohort: int
    state: str
    attempt: int
    worker: str | None
    claimed_at: datetime
    ended_at: datetime | None
    error: str | None
    traceback: str | None
    settled: bool
    steps: int | None
    fingerprint: str | None
    numerics: str | None
    weights: Mapping[str, Any] | None
    metrics: Mapping[str, MetricRecord] = field(default_factory=dict)
    successes: Mapping[int, bool] = field(default_factory=dict)


def page(
    session: Session,
    sweep: str,
    *,
    after: int | None,
    limit: int,
    arm: str | None = None,
    cell: int | None = None,
    end_state: str | None = None,
    success: tuple[int, bool] | None = None,
) -> list[TrialView]:
    """Trials of a sweep in order of id, after one of them.

    Args:
        end_state: one that comes with an outcome finds trials of settled cohorts only.
        success: (criterion index, whether it was met), of trials of settled cohorts only.
    """
    query = _query().where(trials.c.sweep == sweep).order_by(trials.c.id).limit(limit)
    if after is not None:
        query = query.where(trials.c.id > after)
    if arm is not None:
        query = query.where(arms.c.name == arm)
    if cell is not None:
        query = query.where(cells.c.index == cell)
    if end_state is not None:
        query = query.where(is_in(end_state))
    if success is not None or end_state in HAS_OUTCOME:
        query = query.where(_SETTLED)
    if success is not None:
        query = query.join(successes, successes.c.trial == trials.c.id).where(
            successes.c.criterion == success[0], successes.c.success == int(success[1])
        )
    return _views(session, query)


def show(session: Session, trial: int) -> TrialView:
    """One trial.

    Raises:
        UnknownTrialError: there is none of this id.
    """
    known = 0 < trial <= MOST_ID
    found = _views(session, _query().where(trials.c.id == trial)) if known else []
    if not found:
        raise UnknownTrialError(trial)
    return found[0]


def sweep_of(session: Session, trial: int) -> str | None:
    """The sweep that a trial belongs to, or None where there is no such trial."""
    known = 0 < trial <= MOST_ID
    return session.scalar(select(trials.c.sweep).where(trials.c.id == trial)) if known else None


def _query() -> Select[Any]:
    return (
        select(
            trials.c.id,
            trials.c.sweep,
            arms.c.name.label("arm"),
            settings.c["values"].label("setting"),
            cells.c.index.label("cell"),
            trials.c.seed,
            trials.c.cohort,
            trials.c.state,
            trials.c.attempt,
            trials.c.worker,
            trials.c.claimed_at,
            trials.c.ended_at,
            trials.c.error,
            trials.c.traceback,
            _SETTLED.label("settled"),
            outcomes.c.steps,
            outcomes.c.fingerprint,
            outcomes.c.class_id.label("numerics"),
            outcomes.c.weights,
        )
        .join(sweeps, sweeps.c.id == trials.c.sweep)
        .join(cells, cells.c.id == trials.c.cell)
        .join(arms, (arms.c.sweep == trials.c.sweep) & (arms.c.index == trials.c.arm))
        .join(
            settings,
            (settings.c.sweep == trials.c.sweep) & (settings.c.index == trials.c.setting),
        )
        .outerjoin(outcomes, outcomes.c.trial == trials.c.id)
    )


def _views(session: Session, query: Select[Any]) -> list[TrialView]:
    rows = session.execute(query).mappings().all()
    ids = [r["id"] for r in rows]
    metrics: dict[int, dict[str, MetricRecord]] = {}
    measured = select(results).where(results.c.trial.in_(ids)).order_by(results.c.metric)
    for m in session.execute(measured):
        record = MetricRecord(m.final, m.best, m.best_step)
        metrics.setdefault(m.trial, {})[m.metric] = record
    won: dict[int, dict[int, bool]] = {}
    judged = select(successes).where(successes.c.trial.in_(ids)).order_by(successes.c.criterion)
    for s in session.execute(judged):
        won.setdefault(s.trial, {})[s.criterion] = bool(s.success)
    return [
        TrialView(
            **r,
            metrics=metrics.get(r["id"], {}),
            successes=won.get(r["id"], {}),
        )
        for r in rows
    ]

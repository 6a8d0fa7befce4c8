"""Completion: what a worker returned is written once, with its counters, or refused."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, tuple_, update
from sqlalchemy.orm import Session

from service.plan import Criterion
from service.store.claims import Pair, hand_back, sweeps_of
from service.store.counters import (
    Ended,
    count_ended,
    count_running,
    count_successes,
    count_waiting,
    end_if_done,
    settle,
)
from service.store.progress import criteria_of
from service.store.sweeps import lock
from service.store.tables import outcomes as outcome_rows
from service.store.tables import results, successes, trials
from workers.messages import Failure, MetricRecord, Outcome


@dataclass(frozen=True)
class Completed:
    """What became of a return.

    Attributes:
        accepted: outcomes and failures that were written.
        refused: (trial, attempt) of those that came from an attempt that is not running.
        ended_sweeps: sweeps that this ended.
    """

    accepted: int
    refused: list[Pair]
    ended_sweeps: list[str]


def complete(
    session: Session,
    *,
    outcomes: Sequence[Outcome],
    failures: Sequence[Failure],
    dropped: Sequence[Pair],
    numerics_id: str,
    max_attempts: int,
    now: datetime,
) -> Completed:
    """Writes outcomes, failures and drops by compare-and-set on (trial, attempt, running).

    A failure below `max_attempts` puts the trial back into the queue, with the same streams; at
    `max_attempts` it is errored. A write of an attempt that is not running any more, a zombie's or
    a repetition, is refused and changes nothing.
    """
    pairs = [(o.trial, o.attempt) for o in outcomes] + [(f.trial, f.attempt) for f in failures]
    accepted: set[Pair] = set()
    ended: list[str] = []
    for sweep in sweeps_of(session, pairs) if pairs else ():
        cancelling = lock(session, sweep)["state"] == "cancelling"
        rows = _end(session, sweep, outcomes, now)
        _write_outcomes(session, sweep, outcomes, rows, numerics_id)
        failed = _fail(session, sweep, failures, max_attempts, now, cancelling=cancelling)
        accepted |= rows.keys() | failed
        settle(session, sweep)
        if end_if_done(session, sweep, now):
            ended.append(sweep)
    if dropped:
        hand_back(session, dropped, now=now)
    return Completed(len(accepted), [p for p in pairs if p not in accepted], ended)


def _swap(
    session: Session, sweep: str, pairs: Sequence[Pair], values: Mapping[str, Any]
) -> dict[Pair, Any]:
    """Moves running trials of exactly these attempts; those that moved, by (trial, attempt)."""
    if not pairs:
        return {}
    rows = session.execute(
        update(trials)
        .where(
            trials.c.sweep == sweep,
            tuple_(trials.c.id, trials.c.attempt).in_(pairs),
            trials.c.state == "running",
        )
        .values(**values)
        .returning(
            trials.c.id,
            trials.c.attempt,
            trials.c.cell,
            trials.c.arm,
            trials.c.cohort,
            trials.c.structure,
        )
    ).all()
    return {(r.id, r.attempt): r for r in rows}


def _count(session: Session, sweep: str, rows: Mapping[Pair, Any], state: str) -> None:
    count_running(session, sweep, Counter(r.arm for r in rows.values()), -1)
    ended: list[Ended] = [(r.cell, r.arm, state, r.cohort) for r in rows.values()]
    count_ended(session, sweep, ended)


def _end(session: Session, sweep: str, found: Sequence[Outcome], now: datetime) -> dict[Pair, Any]:
    moved: dict[Pair, Any] = {}
    for state in sorted({o.end_state for o in found}):
        pairs = [(o.trial, o.attempt) for o in found if o.end_state == state]
        values = {"state": state, "ended_at": now, "error": None, "traceback": None}
        rows = _swap(session, sweep, pairs, values)
        _count(session, sweep, rows, state)
        moved |= rows
    return moved


def _write_outcomes(
    session: Session,
    sweep: str,
    found: Sequence[Outcome],
    rows: Mapping[Pair, Any],
    numerics_id: str,
) -> None:
    """Outcomes, results and successes of the accepted, and the success counters."""
    mine = [o for o in found if (o.trial, o.attempt) in rows]
    if not mine:
        return
    session.execute(
        insert(outcome_rows),
        [
            {
                "trial": o.trial,
                "steps": o.steps,
                "fingerprint": o.fingerprint,
                "class_id": numerics_id,
                "curve": o.curve,
            }
            for o in mine
        ],
    )
    measured = [
        {
            "trial": o.trial,
            "metric": name,
            "final": m.final,
            "best": m.best,
            "best_step": m.best_step,
        }
        for o in mine
        for name, m in o.metrics.items()
    ]
    if measured:
        session.execute(insert(results), measured)
    rules = criteria_of(session, sweep)
    verdicts = [(o, rule, succeeded(o, rule)) for o in mine for rule in rules]
    if verdicts:
        session.execute(
            insert(successes),
            [
                {"trial": o.trial, "criterion": rule.index, "success": int(won)}
                for o, rule, won in verdicts
            ],
        )
    wins = []
    for o, rule, won in verdicts:
        if won:
            row = rows[o.trial, o.attempt]
            wins.append((row.cell, row.arm, rule.index))
    count_successes(session, sweep, wins)


def succeeded(outcome: Outcome, rule: Criterion) -> bool:
    """Whether an outcome meets a criterion; what was never measured never does."""
    record = outcome.metrics.get(rule.metric, MetricRecord(None, None, None))
    value = record.final if rule.at == "end" else record.best
    if value is None:
        return False
    if rule.comparison == "at_most":
        return bool(value <= rule.threshold)
    return bool(value >= rule.threshold)


def _fail(
    session: Session,
    sweep: str,
    failures: Sequence[Failure],
    most: int,
    now: datetime,
    *,
    cancelling: bool,
) -> set[Pair]:
    """Puts failed attempts back, or ends their trials as errored once there were too many.

    In a sweep that is being cancelled nothing is tried again.
    """
    words = {(f.trial, f.attempt): f for f in failures}
    spent = [p for p in words if p[1] >= most]
    again = [p for p in words if p[1] < most]
    errored = _swap(
        session, sweep, spent, {"state": "errored", "ended_at": now, "error": "", "traceback": ""}
    )
    _count(session, sweep, errored, "errored")
    if cancelling:
        back = _swap(session, sweep, again, {"state": "cancelled", "ended_at": now})
        _count(session, sweep, back, "cancelled")
    else:
        back = _swap(session, sweep, again, {"state": "waiting"})
        count_running(session, sweep, Counter(r.arm for r in back.values()), -1)
        count_waiting(session, sweep, Counter(r.structure for r in back.values()), 1)
    moved = errored.keys() | back.keys()
    if moved:
        statement = (
            update(trials)
            .where(trials.c.id == bindparam("k_id"))
            .values(error=bindparam("e"), traceback=bindparam("t"))
        )
        rows = [{"k_id": p[0], "e": words[p].error, "t": words[p].traceback} for p in sorted(moved)]
        session.connection().execute(statement, rows)
    return set(moved)

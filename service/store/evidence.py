"""Settled data for reports: outcomes streamed in a fixed order."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, exists, func, literal, select
from sqlalchemy.orm import Session

from service.store.tables import (
    cells,
    exclusions,
    extensions,
    numerics_classes,
    outcomes,
    results,
    successes,
    sweep_classes,
    sweeps,
    trials,
)

#: cell's index, seed, end state, steps, fingerprint, metric, final, best, best step; of a trial
#: without an outcome, nothing after the end state
OutcomeRow = tuple[int, int, str, int | None, str | None, str | None, Any, Any, int | None]

_SETTLED = (
    select(
        cells.c.index,
        trials.c.seed,
        trials.c.state,
        outcomes.c.steps,
        outcomes.c.fingerprint,
        results.c.metric,
        results.c.final,
        results.c.best,
        results.c.best_step,
    )
    .join(cells, cells.c.id == trials.c.cell)
    .outerjoin(outcomes, outcomes.c.trial == trials.c.id)
    .outerjoin(results, results.c.trial == trials.c.id)
    .where(
        trials.c.sweep == bindparam("of"),
        trials.c.cohort
        < select(sweeps.c.settled_cohorts).where(sweeps.c.id == bindparam("of")).scalar_subquery(),
    )
    .order_by(cells.c.index, trials.c.seed)
)


def settled_rows(session: Session, sweep: str, size: int = 2000) -> Iterator[Sequence[OutcomeRow]]:
    """Every trial of the settled cohorts, by (cell, seed), a row for each of its metrics.

    They stream in chunks of about so many rows, a trial's always in one; its metrics come in no
    order that one may rely on. Rows are the driver's own tuples: SQLAlchemy's cost half as much
    again as all the rest of reading them, and these columns have nothing to be converted.
    """
    streams = {"yield_per": size}  # on PostgreSQL a cursor in the server
    with session.connection().execute(_SETTLED, {"of": sweep}, execution_options=streams) as found:
        # SQLAlchemy has taken the first from a stream already, and nothing beyond it
        rest: list[Any] = [tuple(row) for row in found.fetchmany(1)]
        cursor = found.cursor
        while cursor is not None and (part := cursor.fetchmany(size)):
            rows = [*rest, *part]
            whole, last = len(rows), rows[-1][:2]
            while whole and rows[whole - 1][:2] == last:
                whole -= 1  # the next chunk may hold more of it
            rest = rows[whole:]
            if whole:
                yield rows[:whole]
    if rest:
        yield rest


_CURVES = (
    select(cells.c.index, trials.c.seed, outcomes.c.curve)
    .join(cells, cells.c.id == trials.c.cell)
    .join(outcomes, outcomes.c.trial == trials.c.id)
    .where(
        trials.c.sweep == bindparam("of"),
        trials.c.cohort
        < select(sweeps.c.settled_cohorts).where(sweeps.c.id == bindparam("of")).scalar_subquery(),
        exists().where(
            successes.c.trial == trials.c.id,
            successes.c.criterion.in_(bindparam("criteria", expanding=True)),
            successes.c.success == 1,
        ),
    )
    .order_by(cells.c.index, trials.c.seed)
)


def success_curves(
    session: Session, sweep: str, criteria: Sequence[int], size: int = 1000
) -> Iterator[tuple[int, int, bytes]]:
    """(cell's index, seed, curve) of settled trials that succeed by one of these criteria.

    They stream, by (cell, seed).
    """
    streamed = session.execute(
        _CURVES, {"of": sweep, "criteria": list(criteria)}, execution_options={"yield_per": size}
    )
    for part in streamed.partitions():
        yield from part


_BY_WORKER = (
    select(
        trials.c.worker,
        func.count().label("n"),
        func.sum(case((trials.c.attempt > 1, 1), else_=0)).label("again"),
        func.max(trials.c.attempt).label("most"),
    )
    .where(trials.c.sweep == bindparam("of"))
    .group_by(trials.c.worker)
    .order_by(trials.c.worker)
)


def run_facts(session: Session, sweep: str) -> Mapping[str, Any]:
    """What goes into the run log: attempts, workers, device-hours and numerics classes.

    `device_hours` are those from each worker's first claim here to its last end, a worker being one
    device, without what lies between its last end before the sweep was extended, or a worker
    excluded, and its first claim after; where it trained other sweeps meanwhile, they are too many.
    """
    found = session.execute(_BY_WORKER, {"of": sweep}).all()
    classes = session.execute(
        select(numerics_classes.c.id, numerics_classes.c.content)
        .join(sweep_classes, sweep_classes.c.class_id == numerics_classes.c.id)
        .where(sweep_classes.c.sweep == sweep)
        .order_by(sweep_classes.c.rank)
    )
    return {
        "trials_claimed": sum(r.n for r in found),
        "trials_tried_again": sum(r.again for r in found),
        "most_attempts": max((r.most for r in found), default=0),
        "workers": {r.worker: r.n for r in found if r.worker is not None},
        "device_hours": _device_seconds(session, sweep) / 3600,
        "numerics_classes": [{"id": i} | dict(content) for i, content in classes],
    }


def _device_seconds(session: Session, sweep: str) -> float:
    """Seconds from first claim to last end of each worker, in each part of the sweep's time."""
    moments: set[Any] = set()
    for at, of in (
        (extensions.c.extended_at, extensions.c.sweep),
        (exclusions.c.excluded_at, exclusions.c.sweep),
    ):
        moments.update(session.scalars(select(at).where(of == sweep)))
    part = sum(
        (case((trials.c.claimed_at >= moment, 1), else_=0) for moment in sorted(moments)),
        literal(0),
    )
    spans = (
        select(
            func.min(trials.c.claimed_at).label("first"), func.max(trials.c.ended_at).label("last")
        )
        .where(trials.c.sweep == sweep, trials.c.worker.is_not(None))
        .group_by(trials.c.worker, part)
    )
    rows = session.execute(spans)
    return sum((seconds_between(r.first, r.last) for r in rows if r.last is not None), 0.0)


def seconds_between(first: datetime, last: datetime) -> float:
    """How long something took by a host's clock; where that was set back meanwhile, no time."""
    return max(0.0, (last - first).total_seconds())

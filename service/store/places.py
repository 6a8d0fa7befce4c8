"""Places: where the trials of a sweep's settled cohorts ran, for the audit.

A worker is known by its node, which is what a trial keeps; a pack is one that it trained, and a
lane the row of it in which the trial began. An hour is that of the claim: when a trial ends depends
on what became of it, when it began does not.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, String, cast, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.evidence.audit import Place, Ran
from service.store.batch import dialect_of
from service.store.tables import (
    HAS_OUTCOME,
    criteria,
    outcomes,
    successes,
    sweeps,
    trials,
    workers,
)

PLACES = ("worker", "device", "pack", "lane", "hour")
_MINUTELESS = len("2026-11-25 19")
#: rows that are in memory at once
_PART = 20_000


def know(session: Session, worker: str, device: str, now: datetime) -> None:
    """Keeps which device a worker has."""
    module: Any = postgresql if dialect_of(session) == "postgresql" else sqlite
    statement = module.insert(workers).values(name=worker, device=device, seen_at=now)
    later = {name: statement.excluded[name] for name in ("device", "seen_at")}
    session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=later))


def ran(session: Session, sweep: str) -> Ran:
    """The settled trials that have an outcome, at the primary criterion, or the first without one.

    The database counts those that agree in everything, so that a million trials are some thousand
    rows; their order is of no consequence.
    """
    devices = dict(session.execute(select(workers.c.name, workers.c.device)).all())
    parts: list[tuple[NDArray[np.int64], ...]] = []
    names: dict[str, dict[Any, int]] = {name: {} for name in PLACES}
    rows = session.execute(_query(session, sweep).execution_options(yield_per=_PART))
    for part in rows.partitions():
        times, cell, won, worker, pack, lane, hour = zip(*part, strict=True)
        device = (devices.get(name) or None for name in worker)
        packs = (None if n is None else (w, n) for w, n in zip(worker, pack, strict=True))
        found = zip(PLACES, (worker, device, packs, lane, hour), strict=True)
        columns = (_numbers(names[name], levels) for name, levels in found)
        parts.append((*(np.array(c, np.int64) for c in (times, cell, won)), *columns))
    none = np.zeros((3 + len(PLACES), 0), np.int64)
    counts, cells, wins, *of = (np.concatenate(column) for column in zip(none, *parts, strict=True))
    return Ran(
        cells,
        wins.astype(bool),
        counts,
        {
            name: Place(column.astype(np.int32), [_name(level) for level in names[name]])
            for name, column in zip(PLACES, of, strict=True)
        },
    )


def _numbers(known: dict[Any, int], levels: Iterable[Any]) -> NDArray[np.int64]:
    """Levels by number, in the order in which they first come; -1 for what is not known."""
    found = [-1 if level is None else known.setdefault(level, len(known)) for level in levels]
    return np.array(found, np.int64)


def _name(level: Any) -> str:
    return f"{level[0]} pack {level[1]}" if isinstance(level, tuple) else str(level)


def _query(session: Session, sweep: str) -> Select[Any]:
    settled = select(sweeps.c.settled_cohorts).where(sweeps.c.id == sweep).scalar_subquery()
    judged = (
        select(criteria.c.index)
        .where(criteria.c.sweep == sweep)
        .order_by(criteria.c.primary.desc(), criteria.c.index)
        .limit(1)
        .scalar_subquery()
    )
    hour: Any = func.substr(cast(trials.c.claimed_at, String), 1, _MINUTELESS)
    if dialect_of(session) == "postgresql":
        hour = func.to_char(func.timezone("UTC", trials.c.claimed_at), "YYYY-MM-DD HH24")
    alike = (
        trials.c.cell,
        successes.c.success,
        trials.c.worker,
        outcomes.c.pack,
        outcomes.c.lane,
        hour,
    )
    return (
        select(func.count(), *alike)
        .join(outcomes, outcomes.c.trial == trials.c.id)
        .join(successes, successes.c.trial == trials.c.id)
        .where(
            trials.c.sweep == sweep,
            trials.c.cohort < settled,
            trials.c.state.in_(HAS_OUTCOME),
            successes.c.criterion == judged,
        )
        .group_by(*alike)
    )

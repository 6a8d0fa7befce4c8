"""Moves: a running trial changes its state by compare-and-set on its attempt, counters with it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Integer, Text, bindparam, case, func, null, update
from sqlalchemy.orm import Session

from service.store.batch import Batch, dialect_of
from service.store.counters import Move, count
from service.store.tables import HAS_OUTCOME, trials
from service.store.types import UtcDateTime

Pair = tuple[int, int]


class Fate(NamedTuple):
    """What becomes of an attempt; an error of None leaves what an earlier attempt raised.

    `lost` and `failed` are 1 where the attempt lost its worker or raised: a trial counts both.
    """

    trial: int
    attempt: int
    state: str
    error: str | None = None
    traceback: str | None = None
    lost: int = 0
    failed: int = 0


class Moved(NamedTuple):
    """A trial that moved."""

    cell: int
    arm: int


_FATES = Batch(
    id=BigInteger(),
    attempt=Integer(),
    state=Text(),
    error=Text(),
    traceback=Text(),
    lost=Integer(),
    failed=Integer(),
)


def move(
    session: Session, sweep: str, fates: Sequence[Fate], *, now: datetime
) -> Mapping[Pair, Moved]:
    """Moves running trials of exactly these attempts, and the counters; those that moved.

    The trials are of this sweep, and the caller holds its lock. Other attempts and other states
    are untouched.
    """
    moved = swap(session, fates, now=now)
    count(session, sweep, [m for _, m in moved.values()])
    return {pair: found for pair, (found, _) in moved.items()}


def swap(
    session: Session, fates: Sequence[Fate], *, now: datetime
) -> dict[Pair, tuple[Moved, Move]]:
    """The compare-and-set alone."""
    if not fates:
        return {}
    dialect = dialect_of(session)
    rows = session.execute(_swap(dialect), _FATES.parameters(dialect, fates) | {"now": now})
    return {
        (r.id, r.attempt): (
            Moved(r.cell, r.arm),
            Move(r.cell, r.arm, r.structure, r.cohort, "running", r.state),
        )
        for r in rows
    }


@cache
def _swap(dialect: str) -> Any:
    fate = _FATES.source(dialect)
    arrived = fate.c.state.in_(HAS_OUTCOME)
    return (
        update(trials)
        .where(
            trials.c.id == fate.c.id,
            trials.c.attempt == fate.c.attempt,
            trials.c.state == "running",
        )
        .values(
            state=fate.c.state,
            ended_at=case(
                (fate.c.state == "waiting", null()), else_=bindparam("now", type_=UtcDateTime())
            ),
            losses=trials.c.losses + fate.c.lost,
            failures=trials.c.failures + fate.c.failed,
            error=case((arrived, null()), else_=func.coalesce(fate.c.error, trials.c.error)),
            traceback=case(
                (arrived, null()), else_=func.coalesce(fate.c.traceback, trials.c.traceback)
            ),
        )
        .returning(
            trials.c.id,
            trials.c.attempt,
            trials.c.cell,
            trials.c.arm,
            trials.c.cohort,
            trials.c.structure,
            trials.c.state,
        )
    )

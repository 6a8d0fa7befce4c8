"""Failing fast: a sweep whose first trials all die the same way is paused before the others do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from service.store.suspicion import ALONE
from service.store.sweeps import FAILING, lock, pause
from service.store.tables import (
    HAS_OUTCOME,
    OPEN_SWEEPS,
    arms,
    structures,
    sweeps,
    trials,
)

#: fewer deaths than these are no pattern: the sweep goes on to its errored trials
LEAST = 8
#: a lost worker blames everybody on it, so one counts that was alone when it was lost: so many such
#: trials are no poison among others
LEAST_LOST = 3
_ALONE = ALONE + 1
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True)
class Fallen:
    """One of a sweep's first trials: whether an attempt of it has raised, and what."""

    failures: int
    error: str | None


def common_error(first: Sequence[Fallen]) -> str | None:
    """What all of these have raised, or None unless all have, and the same.

    Numbers may differ: they are a seed's or a step's.
    """
    errors = [trial.error for trial in first if trial.failures and trial.error is not None]
    if len(errors) < max(LEAST, len(first)):
        return None
    return errors[0] if len({_NUMBERS.sub("0", error) for error in errors}) == 1 else None


def judge(session: Session, sweep: str, lanes: int) -> str | None:
    """Pauses a sweep whose first trials all died the same way; returns how, or None.

    The first are those of each structure that were claimed first, as many as a pack has lanes. A
    sweep that has any outcome is not judged, nor one that was paused for this before: whoever
    resumed it wants it to go on.
    """
    arrived = session.scalars(_OPEN, {"of": sweep}).one_or_none()
    if arrived is None or arrived:
        return None
    error = common_error(_first(session, sweep, lanes)) or _lost(session, sweep)
    if error is None:
        return None
    if lock(session, sweep)["state"] not in OPEN_SWEEPS:  # a user was faster
        return None
    pause(session, sweep, reason=FAILING)
    session.execute(update(sweeps).where(sweeps.c.id == sweep).values(failing=error))
    return error


_OPEN = (
    select(func.sum(sum((arms.c[s] for s in HAS_OUTCOME[1:]), arms.c[HAS_OUTCOME[0]])))
    .join(sweeps, sweeps.c.id == arms.c.sweep)
    .where(
        sweeps.c.id == bindparam("of"),
        sweeps.c.state.in_(OPEN_SWEEPS),
        sweeps.c.failing.is_(None),
    )
    .group_by(sweeps.c.id)
)


def _first(session: Session, sweep: str, lanes: int) -> list[Fallen]:
    begun = select(structures.c.index).where(structures.c.sweep == sweep, structures.c.position > 0)
    found: list[Fallen] = []
    for number in session.scalars(begun).all():
        query = (
            select(trials.c.failures, trials.c.error)
            .where(trials.c.sweep == sweep, trials.c.structure == number)
            .order_by(trials.c.id)
            .limit(lanes)
        )
        mine = [Fallen(r.failures, r.error) for r in session.execute(query)]
        found += mine
        if not all(trial.failures for trial in mine):
            break  # some live yet
    return found


def _lost(session: Session, sweep: str) -> str | None:
    alone = select(func.count()).where(trials.c.sweep == sweep, trials.c.losses >= _ALONE)
    count = session.scalar(alone) or 0
    if count < LEAST_LOST:
        return None
    return (
        f"every worker that trained it was lost, {count} times while it held one trial alone; look "
        "for worker_lost in the service's log"
    )

"""The end of a sweep: what waits is cancelled at once, and once nothing is left it has ended."""

from datetime import datetime

from sqlalchemy import RowMapping, bindparam, func, select, update
from sqlalchemy.orm import Session

from service.store.counters import Move, count
from service.store.tables import END_STATES, arms, is_in, structures, sweeps, trials


def shown_state(state: str, stopped_when: str | None) -> str:
    """A sweep's state as others see it: one that its stop rule closed is not being cancelled."""
    return "stopping" if state == "cancelling" and stopped_when is not None else state


def close(session: Session, sweep: str, *, now: datetime) -> None:
    """Nothing more is claimed: what waits is cancelled, what runs is dropped at its next boundary.

    The caller holds the sweep's lock, and ends the sweep if nothing runs.
    """
    waiting = session.execute(
        update(trials)
        .where(trials.c.sweep == sweep, is_in("waiting"))
        .values(state="cancelled", ended_at=now)
        .returning(trials.c.cell, trials.c.arm, trials.c.structure, trials.c.cohort)
    )
    moves = [Move(r.cell, r.arm, r.structure, r.cohort, "waiting", "cancelled") for r in waiting]
    count(session, sweep, moves)
    counted = sum((arms.c[s] for s in END_STATES), arms.c.running)
    session.execute(  # those that never had a row
        update(arms)
        .where(arms.c.sweep == sweep)
        .values(cancelled=arms.c.cancelled + arms.c.trials - counted)
    )
    session.execute(
        update(structures).where(structures.c.sweep == sweep).values(position=structures.c.total)
    )
    session.execute(update(sweeps).where(sweeps.c.id == sweep).values(state="cancelling"))


def end_if_done(session: Session, held: RowMapping, now: datetime) -> bool:
    """Ends a sweep none of whose trials is left; returns whether it did.

    One that its stop rule closed is finished, for the reason of the rule.

    Args:
        held: the sweep's row, locked, as it is now.
    """
    if held["ended_at"] is not None:
        return False
    if session.scalar(_ALL_ENDED, {"of": held["id"]}) != held["trials"]:
        return False
    stopped = held["stopped_when"]
    cancelled = held["state"] == "cancelling" and stopped is None
    session.execute(
        update(sweeps)
        .where(sweeps.c.id == held["id"])
        .values(
            state="cancelled" if cancelled else "finished",
            ended_at=now,
            reason=stopped,
            offered_class=None,
        )
    )
    return True


_ALL_ENDED = select(
    sum((func.sum(arms.c[s]) for s in END_STATES[1:]), func.sum(arms.c[END_STATES[0]]))
).where(arms.c.sweep == bindparam("of"))

"""Figures of the whole store for those who run it, from counters: as cheap for any trials."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.claims import queues
from service.store.tables import END_STATES, arms, sweeps

SWEEP_STATES = ("waiting", "running", "paused", "cancelling", "finished", "cancelled")


@dataclass(frozen=True)
class Figures:
    """What the store holds.

    Attributes:
        sweeps: state -> sweeps.
        trials: state -> trials; `waiting` are those that are neither running nor ended.
        claimable: trials that may be claimed now.
        oldest_waiting_at: when the oldest sweep was created of which nothing ran yet.
    """

    sweeps: Mapping[str, int]
    trials: Mapping[str, int]
    claimable: int
    oldest_waiting_at: datetime | None


def figures(session: Session) -> Figures:
    """Reads them; the cost is that of sweeps and arms, never of trials."""
    by_state = dict.fromkeys(SWEEP_STATES, 0)
    total = 0
    rows = session.execute(
        select(sweeps.c.state, func.count(), func.sum(sweeps.c.trials)).group_by(sweeps.c.state)
    )
    for state, count, trials in rows:
        by_state[state] = count
        total += trials
    names = ("running", *END_STATES)
    sums = session.execute(
        select(*(func.coalesce(func.sum(arms.c[name]), 0) for name in names))
    ).one()
    known = {name: int(count) for name, count in zip(names, sums, strict=True)}
    oldest = session.scalar(
        select(func.min(sweeps.c.created_at)).where(sweeps.c.state == "waiting")
    )
    return Figures(
        sweeps=by_state,
        trials={"waiting": max(0, int(total) - sum(known.values())), **known},
        claimable=sum(queue.claimable + queue.suspects for queue in queues(session)),
        oldest_waiting_at=oldest,
    )

"""A few errored trials of a sweep, found through the index of the errored at a flat cost."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import arms, is_in, trials

MOST = 5
_MOST_CHARACTERS = 300


@dataclass(frozen=True)
class Errored:
    """An errored trial and the last line of what it raised."""

    trial: int
    arm: str
    seed: int
    attempt: int
    error: str


def errored(session: Session, sweep: str) -> list[Errored]:
    """At most five; all of them are listed by the trials route."""
    query = (
        select(trials.c.id, arms.c.name, trials.c.seed, trials.c.attempt, trials.c.error)
        .join(arms, (arms.c.sweep == trials.c.sweep) & (arms.c.index == trials.c.arm))
        .where(trials.c.sweep == sweep, is_in("errored"))
        .order_by(trials.c.id)
        .limit(MOST)
    )
    return [
        Errored(r.id, r.name, r.seed, r.attempt, _short(r.error)) for r in session.execute(query)
    ]


def _short(error: str) -> str:
    return error if len(error) <= _MOST_CHARACTERS else error[:_MOST_CHARACTERS] + " ..."

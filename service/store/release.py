"""Release: trials whose attempt came to nothing go back into the queue, exactly once."""

from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.batch import PAIRS, dialect_of
from service.store.locks import Locks
from service.store.moves import Fate, Pair, move
from service.store.settling import advance
from service.store.suspicion import MOST_LOSSES, spent
from service.store.sweeps import lock
from service.store.tables import is_in, sweeps, trials

_WHY = (
    "its worker was lost {losses} times, at last while it trained alone; after {most} such a trial "
    "is not tried again; look for worker_lost in the service's log"
)
_BATCH = 5000


def hand_back(session: Session, pairs: Sequence[Pair], *, now: datetime) -> int:
    """Puts running trials of exactly these attempts back into the queue; returns how many.

    Nobody is to blame: nothing is counted against them. Those of a sweep that is being cancelled
    are cancelled.
    """
    return _release(session, [Fate(*pair, "waiting") for pair in pairs], now)


def lose(
    session: Session, pairs: Sequence[Pair], *, now: datetime, together: int | None = None
) -> int:
    """The same for what one worker held when it was lost: a loss is counted for each.

    One that was alone is errored once it has lost too many, see `service.store.suspicion`.

    Args:
        together: how many the worker held; None: these are all.
    """
    held = len(pairs) if together is None else together
    fates = [Fate(*pair, "waiting", lost=1) for pair in pairs]
    losses = 1 + losses_of(session, pairs[0][0]) if held == 1 else 0
    if spent(losses, held):
        why = _WHY.format(losses=losses, most=MOST_LOSSES)
        fates = [Fate(*pair, "errored", why, lost=1) for pair in pairs]
    return _release(session, fates, now)


def losses_of(session: Session, trial: int) -> int:
    """How often a trial's worker was lost; 0 for one that is gone."""
    return session.scalar(select(trials.c.losses).where(trials.c.id == trial)) or 0


def _release(session: Session, fates: Sequence[Fate], now: datetime) -> int:
    total = 0
    by_pair = {fate[:2]: fate for fate in fates}
    for sweep, mine in by_sweep(session, list(by_pair)).items():
        held = lock(session, sweep)
        again = [by_pair[pair] for pair in mine]
        if held["state"] == "cancelling":
            again = [fate._replace(state="cancelled") for fate in again]
        total += len(move(session, sweep, again, now=now))
        advance(session, held, now)
    return total


def release_all(
    session: Session,
    *,
    now: datetime,
    keep: AbstractSet[Pair] = frozenset(),
    locks: Locks | None = None,
) -> int:
    """Hands back every running trial but those to keep: what nobody holds any more.

    Args:
        locks: where given, trials of sweeps that somebody else has locked are left as they are.
    """
    query = select(trials.c.id, trials.c.attempt, trials.c.sweep).where(is_in("running"))
    running = [r for r in session.execute(query) if (r.id, r.attempt) not in keep]
    free = {r.sweep for r in running}
    if locks is not None:
        free = locks.free(free)
    pairs = [(r.id, r.attempt) for r in running if r.sweep in free]
    batches = (pairs[i : i + _BATCH] for i in range(0, len(pairs), _BATCH))
    return sum(hand_back(session, batch, now=now) for batch in batches)


def by_sweep(session: Session, pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """The attempts of each sweep, in the order in which sweeps are locked; unknown trials in none.

    It is looked up apart from the compare-and-set: told a sweep, SQLite would go through all of its
    trials instead of those that are named.
    """
    if not pairs:
        return {}
    dialect = dialect_of(session)
    found = session.execute(_sweeps(dialect), PAIRS.parameters(dialect, pairs))
    grouped: dict[str, list[Pair]] = defaultdict(list)
    for r in found:
        grouped[r.sweep].append((r.trial, r.attempt))
    return dict(sorted(grouped.items()))


@cache
def _sweeps(dialect: str) -> Any:
    batch = PAIRS.source(dialect)
    named = select(batch.c.id.label("trial"), batch.c.attempt, trials.c.sweep)
    return named.join_from(batch, trials, trials.c.id == batch.c.id)


def unwanted(session: Session, pairs: Sequence[Pair]) -> set[Pair]:
    """Of trials that a worker holds, those to drop: cancelled, deleted or taken over."""
    if not pairs:
        return set()
    dialect = dialect_of(session)
    wanted = session.execute(_wanted(dialect), PAIRS.parameters(dialect, pairs))
    return set(pairs) - {(r.id, r.attempt) for r in wanted}


@cache
def _wanted(dialect: str) -> Any:
    batch = PAIRS.source(dialect)
    same = (trials.c.id == batch.c.id) & (trials.c.attempt == batch.c.attempt)
    return (
        select(trials.c.id, trials.c.attempt)
        .join_from(batch, trials, same)
        .join(sweeps, sweeps.c.id == trials.c.sweep)
        .where(trials.c.state == "running", sweeps.c.state != "cancelling")
    )

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
from service.store.counters import end_if_done, settle
from service.store.moves import Fate, Pair, move
from service.store.sweeps import lock
from service.store.tables import is_in, sweeps, trials

#: a trial whose worker was lost this often is errored: it is probably what kills its workers
MOST_ATTEMPTS = 25
_WHY = f"its worker was lost in each of {MOST_ATTEMPTS} attempts"
_BATCH = 5000


def hand_back(session: Session, pairs: Sequence[Pair], *, now: datetime) -> int:
    """Puts running trials of exactly these attempts back into the queue; returns how many.

    Those of a sweep that is being cancelled are cancelled; those whose worker was lost
    `MOST_ATTEMPTS` times are errored.
    """
    total = 0
    for sweep, mine in by_sweep(session, pairs).items():
        held = lock(session, sweep)
        fates = [_fate(pair, cancelling=held["state"] == "cancelling") for pair in mine]
        total += len(move(session, sweep, fates, now=now))
        settle(session, held)
        end_if_done(session, held, now)
    return total


def _fate(pair: Pair, *, cancelling: bool) -> Fate:
    if cancelling:
        return Fate(*pair, "cancelled")
    return Fate(*pair, "errored", _WHY) if pair[1] >= MOST_ATTEMPTS else Fate(*pair, "waiting")


def release_all(session: Session, *, now: datetime, keep: AbstractSet[Pair] = frozenset()) -> int:
    """Hands back every running trial but those to keep: what nobody holds any more."""
    running = session.execute(select(trials.c.id, trials.c.attempt).where(is_in("running")))
    pairs = [pair for r in running if (pair := (r.id, r.attempt)) not in keep]
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

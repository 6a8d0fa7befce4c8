"""Replays: ended trials that are run again, alone, to see whether they come out the same.

A replay never touches the trial's outcome. Its author is the worker that recorded the outcome it
is compared with; it waits until a worker of the same numerics class has nothing else to do.

Whoever changes a replay's row locks its sweep first, as an exclusion does, which ends replays too:
neither then waits for the other, and what is compared is not taken out meanwhile.
"""

import hashlib
import heapq
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Text, cast, func, insert, select, tuple_, update
from sqlalchemy import literal_column as words
from sqlalchemy.orm import Session

from service.evidence.replayed import Replayed
from service.store.completion import storable, unsigned
from service.store.errors import NotReplayableError, UnknownSweepError
from service.store.exclusion import barred_of
from service.store.locks import Locks
from service.store.plans import pack_from
from service.store.sweeps import lock
from service.store.sweeps import show as show_sweep
from service.store.tables import (
    HAS_OUTCOME,
    cells,
    outcomes,
    replays,
    settings,
    structures,
    sweeps,
    trials,
)
from service.store.trials import show as show_trial
from workers.messages import Assignment, Failure, MetricRecord, Outcome, PackSpec

#: a replay whose worker was lost this often is not tried again
MOST_LOSSES = 3
#: replays that may be asked for at once
MOST_ASKED = 10_000
#: that are offered to workers in one turn
_OFFERED = 64
#: in the words of the partial index over them
_OPEN = replays.c.state.in_((words("'waiting'"), words("'running'")))
#: which numerics classes workers are of; None where nobody knows
Classes = Collection[str] | None


@dataclass(frozen=True)
class Waiting:
    """A replay that waits for a worker."""

    id: int
    pack: PackSpec
    class_id: str
    author: str
    excluded: frozenset[str] = frozenset()
    sweep: str = ""


@dataclass(frozen=True)
class Asked:
    """Replays of a sweep that wait for workers of one numerics class.

    Attributes:
        excluded: places of workers that get none of them.
    """

    experiment: str
    class_id: str
    count: int
    excluded: frozenset[str] = frozenset()


def ask(session: Session, trial: int, classes: Classes, now: datetime) -> int:
    """Asks for a replay of a trial; one that is not over yet is not asked for twice.

    Raises:
        UnknownTrialError: there is no such trial.
        NotReplayableError: it is not settled, has no outcome, or no worker is of its class.
    """
    lock(session, show_trial(session, trial).sweep)  # first, as whoever deletes it does
    found = show_trial(session, trial)
    if not found.settled or found.state not in HAS_OUTCOME:
        state = found.state if found.settled or found.state not in HAS_OUTCOME else "not settled"
        raise NotReplayableError(
            f"trial {trial} is {state} and was not run again; a replay compares a settled outcome "
            "with what the same trial yields alone",
            f"wait until its cohort is settled (`seedbed show {found.sweep}`), or name another",
        )
    if classes is not None and found.numerics not in classes:
        raise _no_class(f"trial {trial} was trained", str(found.numerics), classes)
    known = select(replays.c.id).where(replays.c.trial == trial, _OPEN)
    again: int | None = session.scalar(known.limit(1))
    if again is not None:
        return again
    return _write(session, found.sweep, [(trial, found.worker)], now)[0]


def ask_sample(
    session: Session, sweep: str, share: float, classes: Classes, now: datetime
) -> list[int]:
    """Asks for replays of a share of a sweep's settled outcomes, at least one.

    Which ones is drawn from the sweep's root and each trial's cell and seed, so that nobody chooses
    them and the same share gives the same ones.

    Raises:
        UnknownSweepError: there is no such sweep.
        NotReplayableError: nothing is settled, no worker is of the class, or it would be too many.
    """
    lock(session, sweep)
    root = show_sweep(session, sweep).spec["spec"]["root"]
    every = session.execute(_settled(sweep)).all()
    able = [r for r in every if classes is None or r.class_id in classes]
    if not every:
        raise NotReplayableError(
            f"sweep {sweep} has no settled outcome; a replay compares one with what the same trial "
            "yields alone",
            f"wait until a cohort is settled (`seedbed show {sweep}`)",
        )
    if not able:
        names = ", ".join(sorted({r.class_id for r in every}))
        raise _no_class(f"sweep {sweep} was trained", names, classes or ())
    count = max(1, math.ceil(share * len(able)))
    if count > MOST_ASKED:
        raise NotReplayableError(
            f"{share:g} of {len(able)} trials are {count} replays; at most {MOST_ASKED:,} are "
            "asked for at once, since each trains alone",
            f"ask for a share of at most {MOST_ASKED / len(able):.3g}",
        )
    chosen = heapq.nsmallest(count, able, key=lambda r: _draw(root, r.cell, r.seed))
    waiting = set(session.scalars(select(replays.c.trial).where(replays.c.sweep == sweep, _OPEN)))
    return _write(session, sweep, [(r.id, r.worker) for r in chosen if r.id not in waiting], now)


def _draw(root: str, cell: int, seed: int) -> bytes:
    return hashlib.sha256(f"replay {root} {cell} {seed}".encode()).digest()


def _settled(sweep: str) -> Select[Any]:
    return (
        select(
            trials.c.id,
            trials.c.seed,
            trials.c.worker,
            cells.c.index.label("cell"),
            outcomes.c.class_id,
        )
        .join(cells, cells.c.id == trials.c.cell)
        .join(outcomes, outcomes.c.trial == trials.c.id)
        .join(sweeps, sweeps.c.id == trials.c.sweep)
        .where(
            trials.c.sweep == sweep,
            trials.c.cohort < sweeps.c.settled_cohorts,
            trials.c.state.in_(HAS_OUTCOME),
        )
    )


def _no_class(what: str, own: str, classes: Collection[str]) -> NotReplayableError:
    others = ", ".join(sorted(classes)) or "none, since none is up"
    return NotReplayableError(
        f"{what} in numerics class {own}, of which no worker is (theirs: {others}); results are "
        "equal to the bit only within a class, so that a replay would tell nothing",
        "start the service with the code, libraries and device that trained it, then ask again",
    )


def _write(
    session: Session, sweep: str, chosen: Sequence[tuple[int, str | None]], now: datetime
) -> list[int]:
    """Writes replays of trials, each with who recorded its outcome; their ids, in order."""
    if not chosen:
        return []
    here = {"sweep": sweep, "state": "waiting", "requested_at": now}
    statement = insert(replays).returning(replays.c.id)
    rows = [{"trial": trial, "author": author, **here} for trial, author in chosen]
    return sorted(session.scalars(statement, rows))


def asked(session: Session) -> list[Asked]:
    """How many wait, by sweep and numerics class."""
    kind = replays.c.sweep, sweeps.c.experiment, outcomes.c.class_id
    query = (
        select(*kind, func.count())
        .select_from(replays)
        .join(sweeps, sweeps.c.id == replays.c.sweep)
        .join(outcomes, outcomes.c.trial == replays.c.trial)
        .where(_OPEN, replays.c.state == "waiting")
        .group_by(*kind)
        .order_by(*kind)
    )
    rows = session.execute(query).all()
    out = barred_of(session, {r.sweep for r in rows})
    return [Asked(experiment, name, n, out[of]) for of, experiment, name, n in rows]


def waiting(
    session: Session, idle: Collection[tuple[str, str]], passed: Collection[str] = ()
) -> list[Waiting]:
    """Replays that an idle worker may begin, those that were asked for first.

    Args:
        idle: experiments and numerics classes of idle workers; what is of no such class waits
            behind nobody.
        passed: sweeps whose replays are left out.
    """
    query = (
        select(
            replays.c.id,
            cast(structures.c.pack, Text),
            outcomes.c.class_id,
            trials.c.worker,
            replays.c.sweep,
        )
        .join(trials, trials.c.id == replays.c.trial)
        .join(outcomes, outcomes.c.trial == trials.c.id)
        .join(
            structures,
            (structures.c.sweep == trials.c.sweep) & (structures.c.index == trials.c.structure),
        )
        .join(sweeps, sweeps.c.id == trials.c.sweep)
        .where(
            _OPEN,
            replays.c.state == "waiting",
            tuple_(sweeps.c.experiment, outcomes.c.class_id).in_(sorted(idle)),
            replays.c.sweep.not_in(sorted(passed)),
        )
        .order_by(replays.c.id)
        .limit(_OFFERED)
    )
    rows = session.execute(query).all()
    out = barred_of(session, {r.sweep for r in rows})
    return [Waiting(i, pack_from(pack), name, by, out[of], of) for i, pack, name, by, of in rows]


def begin(session: Session, replay: int, worker: str) -> Assignment | None:
    """Gives a waiting replay to a worker: the trial, with the attempt that was recorded.

    None where it waits no more: it was deleted with its sweep, or what it is compared with was
    excluded.
    """
    begun = {"state": "running", "worker": worker}
    if not _locked(session, replay) or not _moved(session, replay, "waiting", begun):
        return None
    row = session.execute(
        select(
            trials.c.id,
            trials.c.attempt,
            trials.c.seed,
            cells.c["values"],
            settings.c.hash,
            sweeps.c.spec["spec"]["root"].as_string().label("root"),
        )
        .join(trials, trials.c.id == replays.c.trial)
        .join(cells, cells.c.id == trials.c.cell)
        .join(
            settings,
            (settings.c.sweep == trials.c.sweep) & (settings.c.index == trials.c.setting),
        )
        .join(sweeps, sweeps.c.id == trials.c.sweep)
        .where(replays.c.id == replay)
    ).one_or_none()
    if row is None:
        return None
    setting, root = int(row.hash, 16), int(row.root, 16)
    return Assignment(row.id, row.attempt, root, setting, row.seed, row.values)


def record(
    session: Session, replay: int, came: Outcome | Failure, worker: str, now: datetime
) -> bool | None:
    """Compares what a replay came to with the outcome; None where there is nothing to compare."""
    if not _locked(session, replay):
        return None
    row = session.execute(
        select(replays.c.trial).where(replays.c.id == replay, replays.c.state == "running")
    ).one_or_none()
    if row is None:  # the outcome was excluded
        return None
    if isinstance(came, Failure):
        _end(session, replay, now, worker, state="failed", error=storable(came.error))
        return None
    found = show_trial(session, row.trial)
    if found.state not in HAS_OUTCOME or (found.attempt, found.id) != (came.attempt, came.trial):
        why = "the trial is being run again meanwhile; there is no outcome to compare with"
        _end(session, replay, now, worker, state="failed", error=why)
        return None
    differs = [
        name
        for name, one, other in (
            ("end state", found.state, came.end_state),
            ("steps", found.steps, came.steps),
            ("fingerprint", found.fingerprint, came.fingerprint),
            ("metrics", dict(found.metrics), _stored(came)),
        )
        if one != other
    ]
    ended = _end(
        session,
        replay,
        now,
        worker,
        state="done",
        author=found.worker,
        fingerprint=came.fingerprint,
        equal=int(not differs),
        differs=", ".join(differs) or None,
    )
    return not differs if ended else None


def _stored(came: Outcome) -> dict[str, MetricRecord]:
    """Its metrics as the store would give them back."""
    return {
        name: MetricRecord(unsigned(m.final), unsigned(m.best), m.best_step)
        for name, m in came.metrics.items()
    }


def _end(session: Session, replay: int, now: datetime, worker: str, **values: Any) -> bool:
    ended = {"ended_at": now, "worker": worker, **values}
    return _moved(session, replay, "running", ended)


def sweep_of(session: Session, replay: int) -> str | None:
    """The sweep of a replay; None where both are gone."""
    return session.scalar(select(replays.c.sweep).where(replays.c.id == replay))


def _locked(session: Session, replay: int) -> bool:
    """Locks the sweep of a replay; False where both are gone."""
    sweep = sweep_of(session, replay)
    return sweep is not None and _lock(session, sweep)


def _lock(session: Session, sweep: str) -> bool:
    """Locks a sweep; False where it is gone."""
    try:
        lock(session, sweep)
    except UnknownSweepError:
        return False
    return True


def _moved(session: Session, replay: int, before: str, values: Mapping[str, Any]) -> bool:
    """Changes a replay if it is in a state; whether it was."""
    same = (replays.c.id == replay) & (replays.c.state == before)
    moved = session.scalar(update(replays).where(same).values(**values).returning(replays.c.id))
    return moved is not None


def lose(session: Session, replay: int, now: datetime) -> None:
    """Its worker was lost: it waits again, or has failed if that happens too often."""
    if not _locked(session, replay):
        return
    row = session.execute(
        select(replays.c.losses).where(replays.c.id == replay, replays.c.state == "running")
    ).one_or_none()
    if row is None:
        return
    values: dict[str, Any] = {"losses": row.losses + 1, "state": "waiting"}
    if row.losses + 1 >= MOST_LOSSES:
        why = f"its worker was lost {MOST_LOSSES} times; look for worker_lost in the service's log"
        values |= {"state": "failed", "ended_at": now, "error": why}
    _moved(session, replay, "running", values)


def hand_back(session: Session, keep: Iterable[int], locks: Locks | None = None) -> int:
    """Lets replays wait again that run in the store and are held by no worker.

    Args:
        locks: where given, those of sweeps that somebody else has locked are left as they are.
    """
    query = select(replays.c.sweep, replays.c.id).where(_OPEN, replays.c.state == "running")
    kept = set(keep)
    lost = sorted((r.sweep, r.id) for r in session.execute(query) if r.id not in kept)
    named = {sweep for sweep, _ in lost}
    free = named if locks is None else locks.free(named)
    there = {sweep for sweep in sorted(free) if _lock(session, sweep)}
    waits = {"state": "waiting"}
    return sum(_moved(session, replay, "running", waits) for s, replay in lost if s in there)


def alive(session: Session, found: Collection[int]) -> set[int]:
    """Of replays that workers hold, those that are still wanted: their sweep may be deleted."""
    if not found:
        return set()
    query = select(replays.c.id).where(replays.c.id.in_(found), replays.c.state == "running")
    return set(session.scalars(query))


def listed(
    session: Session,
    *,
    sweep: str | None = None,
    trial: int | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Replays of a sweep or a trial, in the order in which they were asked for."""
    query = select(replays).where(replays.c.id > after).order_by(replays.c.id).limit(limit)
    if sweep is not None:
        query = query.where(replays.c.sweep == sweep)
    if trial is not None:
        query = query.where(replays.c.trial == trial)
    return [dict(r) for r in session.execute(query).mappings()]


def counts(session: Session, sweep: str) -> dict[str, int]:
    """How many replays of a sweep wait, run, failed, came out equal and came out different."""
    rows = session.execute(select(replays.c.state, replays.c.equal).where(replays.c.sweep == sweep))
    found = dict.fromkeys(("waiting", "running", "failed", "equal", "different"), 0)
    for state, equal in rows:
        found[("different", "equal")[equal] if state == "done" else state] += 1
    return found


def compared(session: Session, sweep: str) -> list[Replayed]:
    """Who recorded, who ran again, and whether it came out the same."""
    query = select(replays.c.author, replays.c.worker, replays.c.equal).where(
        replays.c.sweep == sweep, replays.c.state == "done"
    )
    return [Replayed(a, w, bool(equal)) for a, w, equal in session.execute(query)]

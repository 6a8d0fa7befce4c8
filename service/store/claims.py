"""Claims: trials get their rows when a worker takes them, in cohort order and fenced."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.plan import place
from service.store.counters import (
    count_ended,
    count_running,
    count_waiting,
    end_if_done,
    settle,
)
from service.store.plans import pack_of
from service.store.sweeps import lock
from service.store.tables import (
    OPEN_SWEEPS,
    cells,
    numerics_classes,
    settings,
    structures,
    sweep_classes,
    sweeps,
    trials,
)
from workers.messages import Assignment, PackSpec

#: claims run at most this many cohorts ahead of the first that is not settled
AHEAD = 1
#: a trial whose worker was lost this often is errored: it is probably what kills its workers
MOST_ATTEMPTS = 25

Pair = tuple[int, int]


@dataclass(frozen=True)
class Queue:
    """What waits in one structure of a sweep."""

    sweep: str
    structure: int
    pack: PackSpec
    claimable: int
    pinned: str | None


def queues(session: Session) -> list[Queue]:
    """Structures of open sweeps with work that may be claimed now, oldest sweep first."""
    query = (
        select(structures, sweeps.c.class_id, sweeps.c.settled_cohorts, sweeps.c.cohort)
        .join(sweeps, sweeps.c.id == structures.c.sweep)
        .where(sweeps.c.state.in_(OPEN_SWEEPS))
        .order_by(sweeps.c.id, structures.c.index)
    )
    found = []
    for r in map(dict, session.execute(query).mappings()):
        count = r["waiting"] + max(0, _limit(r) - r["position"])
        if count:
            pack = pack_of(r["pack"])
            found.append(Queue(r["sweep"], r["index"], pack, count, r["class_id"]))
    return found


def _limit(row: Mapping[str, Any]) -> int:
    """The position that a structure's cursor may reach now."""
    ahead = (row["settled_cohorts"] + 1 + AHEAD) * row["cohort"] * row["cells"]
    return int(min(row["total"], ahead))


def claim(
    session: Session, sweep: str, structure: int, limit: int, *, worker: str, now: datetime
) -> list[Assignment]:
    """Takes up to `limit` trials for a worker: those to be tried again first, then the cursor's."""
    held = lock(session, sweep)
    if held["state"] not in OPEN_SWEEPS or limit <= 0:
        return []
    row = (
        session.execute(
            select(structures).where(structures.c.sweep == sweep, structures.c.index == structure)
        )
        .mappings()
        .one()
    )
    again = _retry(session, sweep, structure, limit, worker, now)
    cursor = dict(row) | {"settled_cohorts": held["settled_cohorts"], "cohort": held["cohort"]}
    fresh = min(limit - len(again), _limit(cursor) - row["position"])
    new = _advance(session, cursor, fresh, worker, now) if fresh > 0 else []
    taken = again + new
    if not taken:
        return []
    count_running(session, sweep, Counter(t["arm"] for t in taken), 1)
    count_waiting(session, sweep, Counter(t["structure"] for t in again), -1)
    session.execute(
        update(sweeps)
        .where(sweeps.c.id == sweep)
        .values(state="running", started_at=held["started_at"] or now)
    )
    return _assignments(session, dict(held), taken)


def _retry(
    session: Session, sweep: str, structure: int, limit: int, worker: str, now: datetime
) -> list[dict[str, Any]]:
    first = (
        select(trials.c.id)
        .where(
            trials.c.sweep == sweep, trials.c.structure == structure, trials.c.state == "waiting"
        )
        .order_by(trials.c.cohort, trials.c.seed, trials.c.setting, trials.c.arm)
        .limit(limit)
    )
    rows = session.execute(
        update(trials)
        .where(trials.c.id.in_(first))
        .values(state="running", attempt=trials.c.attempt + 1, worker=worker, claimed_at=now)
        .returning(*_CLAIMED)
    ).mappings()
    return sorted((dict(r) for r in rows), key=lambda r: (r["seed"], r["setting"], r["arm"]))


_CLAIMED = (
    trials.c.id,
    trials.c.attempt,
    trials.c.cell,
    trials.c.arm,
    trials.c.setting,
    trials.c.structure,
    trials.c.seed,
)


def _advance(
    session: Session, cursor: Mapping[str, Any], count: int, worker: str, now: datetime
) -> list[dict[str, Any]]:
    """Moves the cursor and writes the rows that it passes."""
    sweep, structure, position = cursor["sweep"], cursor["index"], cursor["position"]
    where = (structures.c.sweep == sweep, structures.c.index == structure)
    session.execute(update(structures).where(*where).values(position=position + count))
    places = [place(position + i, cursor["cells"], cursor["cohort"]) for i in range(count)]
    query = select(cells.c.id, cells.c.place, cells.c.arm, cells.c.setting).where(
        cells.c.sweep == sweep,
        cells.c.structure == structure,
        cells.c.place.in_(sorted({p.cell for p in places})),
    )
    by_place = {r.place: r for r in session.execute(query)}
    rows = []
    for p in places:
        cell = by_place[p.cell]
        rows.append(
            {
                "sweep": sweep,
                "cell": cell.id,
                "arm": cell.arm,
                "setting": cell.setting,
                "structure": structure,
                "cohort": p.cohort,
                "seed": p.seed,
                "state": "running",
                "attempt": 1,
                "worker": worker,
                "claimed_at": now,
            }
        )
    statement = insert(trials).returning(trials.c.id, sort_by_parameter_order=True)
    ids = session.scalars(statement, rows).all()
    return [row | {"id": i} for row, i in zip(rows, ids, strict=True)]


def _assignments(
    session: Session, sweep: Mapping[str, Any], taken: Sequence[Mapping[str, Any]]
) -> list[Assignment]:
    root = int(sweep["spec"]["spec"]["root"], 16)
    wanted = sorted({t["cell"] for t in taken})
    query = select(cells.c.id, cells.c["values"]).where(cells.c.id.in_(wanted))
    values = {r.id: r[1] for r in session.execute(query)}
    numbers = sorted({t["setting"] for t in taken})
    hashes = dict(
        session.execute(
            select(settings.c.index, settings.c.hash).where(
                settings.c.sweep == sweep["id"], settings.c.index.in_(numbers)
            )
        ).all()
    )
    return [
        Assignment(
            trial=t["id"],
            attempt=t["attempt"],
            root=root,
            setting=int(hashes[t["setting"]], 16),
            seed=t["seed"],
            values=values[t["cell"]],
        )
        for t in taken
    ]


def hand_back(session: Session, pairs: Sequence[Pair], *, now: datetime) -> int:
    """Puts running trials of exactly these attempts back into the queue; returns how many.

    Those of a sweep that is being cancelled are cancelled; those whose worker was lost
    `MOST_ATTEMPTS` times are errored.
    """
    if not pairs:
        return 0
    count = 0
    for sweep in sweeps_of(session, pairs):
        cancelling = lock(session, sweep)["state"] == "cancelling"
        mine = (
            tuple_(trials.c.id, trials.c.attempt).in_(pairs),
            trials.c.sweep == sweep,
            trials.c.state == "running",
        )
        spent = trials.c.attempt >= MOST_ATTEMPTS
        why = f"its worker was lost in each of {MOST_ATTEMPTS} attempts"
        if cancelling:
            changes: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
                (mine, {"state": "cancelled", "ended_at": now})
            ]
        else:
            errored = {"state": "errored", "ended_at": now, "error": why}
            changes = [((*mine, spent), errored), ((*mine, ~spent), {"state": "waiting"})]
        for where, values in changes:
            rows = session.execute(
                update(trials)
                .where(*where)
                .values(**values)
                .returning(trials.c.cell, trials.c.arm, trials.c.cohort, trials.c.structure)
            ).all()
            count += len(rows)
            count_running(session, sweep, Counter(r.arm for r in rows), -1)
            if values["state"] == "waiting":
                count_waiting(session, sweep, Counter(r.structure for r in rows), 1)
            else:
                state = str(values["state"])
                count_ended(session, sweep, [(r.cell, r.arm, state, r.cohort) for r in rows])
        settle(session, sweep)
        end_if_done(session, sweep, now)
    return count


def release_all(session: Session, *, now: datetime) -> int:
    """Hands back every running trial: what an earlier dispatcher held."""
    query = select(trials.c.id, trials.c.attempt).where(trials.c.state == "running")
    pairs = [(r.id, r.attempt) for r in session.execute(query)]
    return sum(hand_back(session, pairs[i : i + 5000], now=now) for i in range(0, len(pairs), 5000))


def sweeps_of(session: Session, pairs: Sequence[Pair]) -> list[str]:
    """The sweeps that trials belong to, in the order in which they are locked."""
    ids = [trial for trial, _ in pairs]
    query = select(trials.c.sweep).distinct().where(trials.c.id.in_(ids))
    return sorted(session.scalars(query).all())


def unwanted(session: Session, pairs: Sequence[Pair]) -> set[Pair]:
    """Of trials that a worker holds, those to drop: cancelled, deleted or taken over."""
    query = (
        select(trials.c.id, trials.c.attempt)
        .join(sweeps, sweeps.c.id == trials.c.sweep)
        .where(
            tuple_(trials.c.id, trials.c.attempt).in_(pairs),
            trials.c.state == "running",
            sweeps.c.state != "cancelling",
        )
    )
    return set(pairs) - {(r.id, r.attempt) for r in session.execute(query)}


def class_id(numerics: Mapping[str, str]) -> str:
    """The name of a numerics class: 16 hex digits of the SHA-256 of its canonical JSON."""
    text = json.dumps(dict(numerics), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def know(session: Session, numerics: Mapping[str, str]) -> str:
    """Writes a numerics class down, once; returns its id."""
    name = class_id(numerics)
    module: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = module.insert(numerics_classes).on_conflict_do_nothing()
    session.execute(statement.values(id=name, content=dict(numerics)))
    return name


def pin(session: Session, sweep: str, numerics: Mapping[str, str]) -> bool:
    """Whether a worker of this class may train the sweep; the first one decides for all."""
    name = know(session, numerics)
    row = lock(session, sweep)
    if row["class_id"] is not None:
        return bool(row["class_id"] == name)
    session.execute(update(sweeps).where(sweeps.c.id == sweep).values(class_id=name))
    session.execute(insert(sweep_classes).values(sweep=sweep, class_id=name, rank=0))
    return True

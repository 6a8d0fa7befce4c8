"""Claims: trials get their rows when a worker takes them, in cohort order and fenced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Integer,
    RowMapping,
    Select,
    String,
    Text,
    bindparam,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from service.plan import place
from service.store.batch import PAIRS, Batch, dialect_of
from service.store.counters import Move, count
from service.store.exclusion import barred
from service.store.keeping import Keeping
from service.store.plans import pack_from
from service.store.suspicion import SUSPECT
from service.store.sweeps import lock
from service.store.tables import (
    OPEN_SWEEPS,
    cells,
    is_in,
    is_suspect,
    settings,
    structures,
    sweeps,
    trials,
)
from service.store.types import UtcDateTime
from workers.messages import Assignment, Files, PackSpec

#: claims run at most this many cohorts ahead of the first that is not settled
AHEAD = 1


@dataclass(frozen=True)
class Queue:
    """What waits in one structure of a sweep.

    Attributes:
        claimable: trials for `claim`.
        suspects: trials for `claim_suspects`.
        losses: the most that one of the suspects has lost.
        owner: whose the sweep is.
        priority: the sweep's.
    """

    sweep: str
    structure: int
    pack: PackSpec
    claimable: int
    pinned: str | None
    suspects: int = 0
    losses: int = 0
    owner: str = ""
    priority: int = 0


_CURSOR = (
    structures.c.index.label("number"),
    structures.c.cells,
    structures.c.total,
    structures.c.position,
    structures.c.waiting,
    sweeps.c.settled_cohorts,
    sweeps.c.cohort,
)
_OPEN = (
    select(
        *_CURSOR,
        structures.c.sweep,
        cast(structures.c.pack, Text),
        sweeps.c.class_id,
        sweeps.c.owner,
        sweeps.c.priority,
    )
    .join(sweeps, sweeps.c.id == structures.c.sweep)
    .where(
        sweeps.c.state.in_(OPEN_SWEEPS),
        or_(structures.c.waiting > 0, structures.c.position < structures.c.total),
    )
    .order_by(sweeps.c.id, structures.c.index)
)


def queues(session: Session) -> list[Queue]:
    """Structures of open sweeps with work that may be claimed now, oldest sweep first."""
    found = []
    rows = session.execute(_OPEN).all()
    apart: dict[tuple[str, int], tuple[int, int]] = {}
    if any(r.waiting for r in rows):
        apart = {(r.sweep, r.structure): (r.n, r.losses) for r in session.execute(_SUSPECTS)}
    for r in rows:
        suspects, losses = apart.get((r.sweep, r.number), (0, 0))
        claimable = r.waiting - suspects + max(0, _limit(r) - r.position)
        if claimable or suspects:
            pack = pack_from(r.pack)
            waits = claimable, r.class_id, suspects, losses
            found.append(Queue(r.sweep, r.number, pack, *waits, r.owner, r.priority))
    return found


_SUSPECTS = (
    select(
        trials.c.sweep,
        trials.c.structure,
        func.count().label("n"),
        func.max(trials.c.losses).label("losses"),
    )
    .where(is_suspect())
    .group_by(trials.c.sweep, trials.c.structure)
)


def _limit(row: Any) -> int:
    """The position that a structure's cursor may reach now."""
    ahead = (row.settled_cohorts + 1 + AHEAD) * row.cohort * row.cells
    return int(min(row.total, ahead))


class Share(NamedTuple):
    """Up to `limit` trials for a worker."""

    worker: str
    limit: int


def claim(
    session: Session, sweep: str, structure: int, limit: int, *, worker: str, now: datetime
) -> list[Assignment]:
    """`claim_shares` for one worker."""
    return claim_shares(session, sweep, structure, [Share(worker, limit)], now=now)[0]


def claim_shares(
    session: Session, sweep: str, structure: int, shares: Sequence[Share], *, now: datetime
) -> list[list[Assignment]]:
    """Takes trials for several workers: those to be tried again first, then the cursor's.

    Suspects are left alone: `claim_suspects` takes them. Workers that were excluded get nothing.
    """
    held = lock(session, sweep)
    if held["state"] not in OPEN_SWEEPS:
        return [[] for _ in shares]
    out = barred(session, sweep)
    shares = [Share(name, 0 if name in out else limit) for name, limit in shares]
    here = {"of": sweep, "number": structure}
    cursor = session.execute(_ONE_CURSOR, here).one()
    waiting, left = cursor.waiting, _limit(cursor) - cursor.position
    again: list[list[_Taken]] = []
    fresh: list[Share] = []
    for worker, limit in shares:
        some = min(limit, waiting)
        found = _retry(session, _RETRY, here, some, worker, now) if some > 0 else []
        waiting -= some
        more = max(0, min(limit - len(found), left))
        left -= more
        again.append(found)
        fresh.append(Share(worker, more))
    new = _advance(session, here, cursor, fresh, now) if any(n for _, n in fresh) else []
    tasks = _begin(session, held, cursor, [t for found in again for t in found], new, now)
    retried, begun = iter(tasks), iter(tasks[len(tasks) - len(new) :])
    return [
        [*islice(retried, len(found)), *islice(begun, n)]
        for found, (_, n) in zip(again, fresh, strict=True)
    ]


def claim_suspects(
    session: Session, sweep: str, structure: int, limit: int, *, worker: str, now: datetime
) -> list[Assignment]:
    """Takes up to `limit` trials that lost several workers, those that lost most first.

    The worker holds nothing else, and gets nothing else before it has returned them all;
    `service.store.suspicion.company` says how many may share it.
    """
    held = lock(session, sweep)
    if held["state"] not in OPEN_SWEEPS or limit <= 0 or worker in barred(session, sweep):
        return []
    here = {"of": sweep, "number": structure}
    cursor = session.execute(_ONE_CURSOR, here).one()
    again = _retry(session, _RETRY_SUSPECTS, here, limit, worker, now)
    return _begin(session, held, cursor, again, [], now)


def _begin(
    session: Session,
    held: RowMapping,
    cursor: Any,
    again: "Sequence[_Taken]",
    new: "Sequence[_Taken]",
    now: datetime,
) -> list[Assignment]:
    """Counts what was taken, and says what it is."""
    sweep, structure, root = held["id"], cursor.number, int(cursor.root, 16)
    distrusted = tuple(sorted(barred(session, sweep))) if again else ()
    keeping = Keeping(session, sweep, cursor.keep_weights)
    moves = [Move(t.cell.id, t.cell.arm, structure, -1, "waiting", "running") for t in again]
    moves += [Move(t.cell.id, t.cell.arm, structure, -1, None, "running") for t in new]
    count(session, sweep, moves)
    if moves and (held["state"] == "waiting" or held["started_at"] is None):
        began = {"state": "running", "started_at": held["started_at"] or now}
        session.execute(update(sweeps).where(sweeps.c.id == sweep).values(**began))
    return [
        Assignment(
            trial=t.trial,
            attempt=t.attempt,
            root=root,
            setting=int(t.cell.hash, 16),
            seed=t.seed,
            values=t.cell.values,
            files=Files(
                sweep,
                resume=t.attempt > 1,
                distrusted=distrusted,
                keep=keeping.of(t.cell.arm, t.cell.setting),
            ),
        )
        for t in (*again, *new)
    ]


_ONE_CURSOR = (
    select(
        *_CURSOR,
        sweeps.c.spec["spec"]["root"].as_string().label("root"),
        sweeps.c.spec["spec"]["keep_weights"].as_string().label("keep_weights"),
    )
    .join(sweeps, sweeps.c.id == structures.c.sweep)
    .where(structures.c.sweep == bindparam("of"), structures.c.index == bindparam("number"))
)


@dataclass(frozen=True)
class _Cell:
    """What a claim needs of a cell; `hash` is its setting's."""

    id: int
    place: int
    arm: int
    setting: int
    values: Mapping[str, float]
    hash: str


@dataclass(frozen=True)
class _Taken:
    trial: int
    attempt: int
    seed: int
    cell: _Cell


def _cells() -> Select[Any]:
    columns = (cells.c.id, cells.c.place, cells.c.arm, cells.c.setting, cells.c["values"])
    same = (settings.c.sweep == cells.c.sweep) & (settings.c.index == cells.c.setting)
    return select(*columns, settings.c.hash).join_from(cells, settings, same)


def _retry(
    session: Session,
    statement: Any,
    here: Mapping[str, Any],
    limit: int,
    worker: str,
    now: datetime,
) -> list[_Taken]:
    """Takes trials whose earlier attempt came to nothing, earlier cohorts first."""
    taken = {"limit": limit, "by": worker, "now": now}
    rows = session.execute(statement, {**here, **taken}).all()
    dialect = dialect_of(session)
    wanted = PAIRS.parameters(dialect, [(cell, 0) for cell in {r.cell for r in rows}])
    by_id = {c.id: c for c in (_Cell(*r) for r in session.execute(_cells_by_id(dialect), wanted))}
    found = [_Taken(r.id, r.attempt, r.seed, by_id[r.cell]) for r in rows]
    return sorted(found, key=lambda t: (t.seed, t.cell.setting, t.cell.arm))


def _taking(which: Select[tuple[int]]) -> Any:
    """Gives these trials of a structure to a worker, under new attempts."""
    here = (trials.c.sweep == bindparam("of"), trials.c.structure == bindparam("number"))
    return (
        update(trials)
        .where(trials.c.id.in_(which.where(*here).limit(bindparam("limit"))))
        .values(
            state="running",
            attempt=trials.c.attempt + 1,
            worker=bindparam("by"),
            claimed_at=bindparam("now", type_=UtcDateTime()),
        )
        .returning(trials.c.id, trials.c.attempt, trials.c.cell, trials.c.seed)
    )


_EARLIER = (trials.c.cohort, trials.c.seed, trials.c.setting, trials.c.arm)
_RETRY = _taking(
    select(trials.c.id).where(is_in("waiting"), trials.c.losses < SUSPECT).order_by(*_EARLIER)
)
_RETRY_SUSPECTS = _taking(
    select(trials.c.id).where(is_suspect()).order_by(trials.c.losses.desc(), *_EARLIER)
)


@cache
def _cells_by_id(dialect: str) -> Any:
    batch = PAIRS.source(dialect)
    return _cells().join(batch, batch.c.id == cells.c.id)


def _advance(
    session: Session, here: Mapping[str, Any], cursor: Any, shares: Sequence[Share], now: datetime
) -> list[_Taken]:
    """Moves the cursor and writes the rows that it passes, worker after worker."""
    first, size = cursor.position, cursor.cells
    workers = [share.worker for share in shares for _ in range(share.limit)]
    fresh = len(workers)
    session.execute(_ADVANCE, {**here, "to": first + fresh})
    span = {"low": first % size, "high": first % size + fresh - 1}
    wrapped = span["high"] - size  # places from 0 on, where the span passes the last cell
    by_place = {
        c.place: c
        for c in (_Cell(*r) for r in session.execute(_SPAN, {**here, **span, "wrapped": wrapped}))
    }
    places = [place(first + i, size, cursor.cohort) for i in range(fresh)]
    chosen = [(by_place[p.cell], p) for p in places]
    dialect = dialect_of(session)
    rows = _ROWS.parameters(
        dialect,
        [
            (c.id, c.arm, c.setting, p.cohort, p.seed, worker)
            for (c, p), worker in zip(chosen, workers, strict=True)
        ],
    )
    claimed = {**here, "now": now}
    ids = {(r.cell, r.seed): r.id for r in session.execute(_write(dialect), rows | claimed)}
    return [_Taken(ids[c.id, p.seed], 1, p.seed, c) for c, p in chosen]


_ADVANCE = (
    update(structures)
    .where(structures.c.sweep == bindparam("of"), structures.c.index == bindparam("number"))
    .values(position=bindparam("to"))
)
_SPAN = _cells().where(
    cells.c.sweep == bindparam("of"),
    cells.c.structure == bindparam("number"),
    or_(
        cells.c.place.between(bindparam("low"), bindparam("high")),
        cells.c.place <= bindparam("wrapped"),
    ),
)
_ROWS = Batch(
    cell=BigInteger(),
    arm=Integer(),
    setting=Integer(),
    cohort=Integer(),
    seed=Integer(),
    worker=Text(),
)


@cache
def _write(dialect: str) -> Any:
    batch = _ROWS.source(dialect)
    columns: dict[str, Any] = {
        "sweep": bindparam("of", type_=String()),
        "structure": bindparam("number", type_=Integer()),
        "state": literal("running"),
        "attempt": literal(1),
        "claimed_at": bindparam("now", type_=UtcDateTime()),
        **batch.c,
    }
    return (
        insert(trials)
        .from_select(list(columns), select(*columns.values()))
        .returning(trials.c.id, trials.c.cell, trials.c.seed)
    )

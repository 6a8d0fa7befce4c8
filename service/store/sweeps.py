"""Sweeps: written whole in one transaction, steered by a small state machine, deleted whole.

waiting -> running <-> paused; any of these -> cancelling -> cancelled; running -> finished. One
that its stop rule closed (`service.store.settling`) is `stopping` until what runs is dropped, and
then finished.
"""

import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.handling import ORDINARY, Handling
from service.plan import Plan
from service.store.ending import close, end_if_done, shown_state
from service.store.errors import (
    IdempotencyConflictError,
    StateConflictError,
    UnknownSweepError,
)
from service.store.plans import write_plan
from service.store.tables import ENDED_SWEEPS, idempotency, leftovers, sweep_classes, sweeps

CODE_CHANGED = "code_changed"
FAILING = "failing"


@dataclass(frozen=True)
class SweepView:
    """A sweep as others see it.

    Attributes:
        failing: how its first trials died, of one that was paused for it.
        classes: the numerics classes that it has kept to, in order.
    """

    id: str
    name: str
    experiment: str
    state: str
    reason: str | None
    spec: Mapping[str, Any]
    trials: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    offered_class: str | None
    criteria_version: int
    owner: str
    priority: int
    labels: tuple[str, ...]
    note: str
    failing: str | None
    classes: tuple[str, ...]


def create(
    session: Session,
    plan: Plan,
    *,
    now: datetime,
    idempotency_key: tuple[str, str] | None = None,
    owner: str = "",
    handling: Handling = ORDINARY,
) -> tuple[str, bool]:
    """Writes a sweep; returns its id and whether it is new.

    Args:
        owner: whose it is; '' is nobody, where there are no users.
        handling: how it is to be treated; it moves no trial.
        idempotency_key: the key and a hash of the body; the same pair again gives the same sweep,
            also when both come at once.

    Raises:
        IdempotencyConflictError: the key came with another body before.
    """
    sweep = new_id()
    if idempotency_key is None:
        _write(session, sweep, plan, now, owner, handling)
        return sweep, True
    while True:
        known = keyed(session, idempotency_key, owner)
        if known is not None:
            return known, False
        with session.begin_nested() as attempt:
            _write(session, sweep, plan, now, owner, handling)
            if _take(session, idempotency_key, owner, sweep):
                return sweep, True
            attempt.rollback()  # whoever took the key meanwhile has committed: look again


def _write(
    session: Session, sweep: str, plan: Plan, now: datetime, owner: str, handling: Handling
) -> None:
    write_plan(session, sweep, plan, now)
    _set(session, sweep, owner=owner, **vars(handling) | {"labels": list(handling.labels)})


def keyed(session: Session, idempotency_key: tuple[str, str], owner: str = "") -> str | None:
    """The sweep that this owner's key and body hash made before; others' keys are others'.

    Raises:
        IdempotencyConflictError: the key came with another body.
    """
    key, body = idempotency_key
    own = (idempotency.c.owner == owner) & (idempotency.c.key == key)
    known = session.execute(select(idempotency).where(own)).one_or_none()
    if known is None:
        return None
    if known.body_hash != body:
        raise IdempotencyConflictError(
            f"Idempotency-Key {key!r} was used with another body, for sweep {known.sweep}; "
            "a key names one request",
            "send this request with a new key",
        )
    return str(known.sweep)


def _take(session: Session, idempotency_key: tuple[str, str], owner: str, sweep: str) -> bool:
    """Writes the key down unless it is there; waits for whoever is about to write it."""
    key, body = idempotency_key
    module: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = module.insert(idempotency).values(owner=owner, key=key, body_hash=body, sweep=sweep)
    statement = statement.on_conflict_do_nothing().returning(idempotency.c.key)
    return session.scalar(statement) is not None


def new_id() -> str:
    """An id that sorts by time of creation and cannot be guessed: 11 + 12 hex digits."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(6)}"


def show(session: Session, sweep: str) -> SweepView:
    """One sweep.

    Raises:
        UnknownSweepError: there is none of this id.
    """
    row = session.execute(select(sweeps).where(sweeps.c.id == sweep)).mappings().one_or_none()
    if row is None:
        raise UnknownSweepError(sweep)
    return _views(session, [row])[0]


def owner_of(session: Session, sweep: str) -> str | None:
    """Whose sweep it is, '' of nobody's; None where there is no such sweep."""
    return session.scalar(select(sweeps.c.owner).where(sweeps.c.id == sweep))


def page(
    session: Session,
    *,
    after: str | None,
    limit: int,
    owner: str | None = None,
    label: str | None = None,
) -> list[SweepView]:
    """Sweeps, newest first, older than `after`; of one owner, with one label."""
    query = select(sweeps).order_by(sweeps.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(sweeps.c.id < after)
    if owner is not None:
        query = query.where(sweeps.c.owner == owner)
    if label is not None:
        query = query.where(_labelled(session, label))
    return _views(session, session.execute(query).mappings().all())


def _labelled(session: Session, label: str) -> ColumnElement[bool]:
    """Whether a sweep has a label: those of its row are unpacked."""
    if session.get_bind().dialect.name == "postgresql":
        each = func.json_array_elements_text(sweeps.c.labels).table_valued("value")
        each = each.render_derived()
    else:
        each = func.json_each(sweeps.c.labels).table_valued("value")
    return select(each.c.value).where(each.c.value == label).exists()


def handle(session: Session, sweep: str, **changed: Any) -> None:
    """Changes how a sweep is treated: `priority`, `labels`, `note`, those that are given.

    Raises:
        UnknownSweepError: there is none of this id.
    """
    lock(session, sweep)
    if changed:
        _set(session, sweep, **changed)


def _views(session: Session, rows: Sequence[RowMapping]) -> list[SweepView]:
    kept: dict[str, list[str]] = defaultdict(list)
    for sweep, class_id in session.execute(_CLASSES, {"of": [row["id"] for row in rows]}):
        kept[sweep].append(class_id)
    return [_view(row, kept[row["id"]]) for row in rows]


_CLASSES = (
    select(sweep_classes.c.sweep, sweep_classes.c.class_id)
    .where(sweep_classes.c.sweep.in_(bindparam("of", expanding=True)))
    .order_by(sweep_classes.c.rank)
)


def _view(row: RowMapping, classes: Iterable[str]) -> SweepView:
    names = SweepView.__dataclass_fields__.keys() - {"classes"}
    shown = {name: row[name] for name in names} | {"state": _state(row)}
    shown["labels"] = tuple(row["labels"])
    return SweepView(**shown, classes=tuple(classes))


def lock(session: Session, sweep: str) -> RowMapping:
    """The sweep's row, locked until the transaction ends: whoever changes a sweep comes here first.

    Raises:
        UnknownSweepError: there is none of this id.
    """
    row = session.execute(_LOCKED, {"of": sweep}).mappings().one_or_none()
    if row is None:
        raise UnknownSweepError(sweep)
    return row


_LOCKED = (  # all but the spec, which may be long
    select(*(c for c in sweeps.c if c.name != "spec"))
    .where(sweeps.c.id == bindparam("of"))
    .with_for_update()
)


def pause(
    session: Session, sweep: str, *, reason: str | None = None, offered_class: str | None = None
) -> None:
    """Stops claims; what trains goes on to its end.

    A pause without a reason is a user's. It takes the place of one for changed code, which would
    end by itself, and the class stays offered; any other pause stays as it is.

    Raises:
        StateConflictError: the sweep has ended or is being cancelled.
    """
    row = lock(session, sweep)
    state = _state(row)
    if state == "paused":
        if reason is None and row["reason"] == CODE_CHANGED:
            _set(session, sweep, reason=None)
        return
    if state not in ("waiting", "running"):
        raise _conflict(sweep, state, "paused", "only a waiting or running sweep is paused")
    _set(session, sweep, state="paused", reason=reason, offered_class=offered_class)


def resume(session: Session, sweep: str, *, accept_class: str | None = None) -> None:
    """Lets a paused sweep go on; after a change of code only with the class that is accepted.

    The class that it keeps to needs no acceptance: it goes on unchanged, once workers are of it.
    Where a user's pause took the place of one for changed code, either class may be accepted, and
    without one it goes on with the class that it keeps to.

    Raises:
        StateConflictError: the sweep is not paused, the class offered was not accepted, or none
            was offered.
    """
    row = lock(session, sweep)
    changed, offered, own = row["reason"] == CODE_CHANGED, row["offered_class"], row["class_id"]
    asked = row["state"] == "paused" and (changed or offered is not None)
    if accept_class is not None and not asked:
        raise StateConflictError(
            f"accept_class {accept_class!r} came for sweep {sweep}, which is {row['state']} and "
            "not paused because of a change of code: there is no class to accept",
            f"resume it without accept_class, or see its state with `seedbed show {sweep}`",
        )
    if row["state"] in ("waiting", "running"):
        return
    if row["state"] != "paused":
        raise _conflict(sweep, _state(row), "resumed", "only a paused sweep is resumed")
    back = accept_class == own or (accept_class is None and (offered == own or not changed))
    if asked and not back and accept_class != offered:
        raise StateConflictError(
            f"sweep {sweep} was paused because the code or machine that trains it changed: it "
            f"keeps to numerics class {own}, and workers, when last seen, were of {offered}",
            f"accept that its results will be of both classes with accept_class {offered} "
            f"(`seedbed resume {sweep} --accept-class {offered}`), or go back to the former code, "
            f"restart the service and resume with accept_class {own}",
        )
    if offered is not None and not back:
        rank = session.scalar(
            select(func.count()).select_from(sweep_classes).where(sweep_classes.c.sweep == sweep)
        )
        known = select(sweep_classes).where(
            sweep_classes.c.sweep == sweep, sweep_classes.c.class_id == offered
        )
        if session.execute(known).one_or_none() is None:
            session.execute(insert(sweep_classes).values(sweep=sweep, class_id=offered, rank=rank))
        _set(session, sweep, class_id=offered)
    state = "waiting" if row["started_at"] is None else "running"
    _set(session, sweep, state=state, reason=None, offered_class=None)


def cancel(session: Session, sweep: str, *, now: datetime) -> None:
    """Cancels what waits at once and what trains at its next boundary.

    Raises:
        StateConflictError: the sweep has finished.
    """
    state = lock(session, sweep)["state"]
    if state in ("cancelling", "cancelled"):  # or stopping: it ends as its stop rule said
        return
    if state == "finished":
        raise _conflict(sweep, state, "cancelled", "a finished sweep has nothing left to cancel")
    close(session, sweep, now=now)
    _set(session, sweep, reason=None)
    end_if_done(session, lock(session, sweep), now)


def remove(session: Session, sweep: str) -> None:
    """Deletes an ended sweep with everything that belongs to it; its files are removed soon after.

    Raises:
        StateConflictError: it has not ended.
    """
    state = _state(lock(session, sweep))
    if state not in ENDED_SWEEPS:
        raise StateConflictError(
            f"sweep {sweep} is {state} and was not deleted; only an ended sweep is",
            f"cancel it first (`seedbed cancel {sweep}`)",
        )
    session.execute(delete(sweeps).where(sweeps.c.id == sweep))
    session.execute(insert(leftovers).values(sweep=sweep))


def _state(row: RowMapping) -> str:
    return shown_state(row["state"], row["stopped_when"])


def _set(session: Session, sweep: str, **values: object) -> None:
    session.execute(update(sweeps).where(sweeps.c.id == sweep).values(**values))


def _conflict(sweep: str, state: str, wanted: str, rule: str) -> StateConflictError:
    return StateConflictError(
        f"sweep {sweep} is {state} and cannot be {wanted}; {rule}",
        f"see its state with `seedbed show {sweep}`",
    )

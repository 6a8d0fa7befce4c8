"""Numerics classes: written down once; a sweep keeps to that of its first claim."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.store.batch import dialect_of
from service.store.sweeps import CODE_CHANGED, lock, resume
from service.store.tables import numerics_classes, sweep_classes, sweeps
from workers.messages import class_id

__all__ = ["Asked", "asked", "back", "class_id", "classes_of", "know", "offer", "pin"]


def know(session: Session, numerics: Mapping[str, str]) -> str:
    """Writes a numerics class down, once; returns its id."""
    name = class_id(numerics)
    module: Any = postgresql if dialect_of(session) == "postgresql" else sqlite
    statement = module.insert(numerics_classes).on_conflict_do_nothing()
    session.execute(statement.values(id=name, content=dict(numerics)))
    return name


@dataclass(frozen=True)
class Asked:
    """A sweep that waits for its user to accept a class, or for the former one to come back."""

    sweep: str
    experiment: str
    pinned: str
    offered: str


def asked(session: Session) -> list[Asked]:
    """Sweeps that are paused because the code changed."""
    query = select(sweeps.c.id, sweeps.c.experiment, sweeps.c.class_id, sweeps.c.offered_class)
    paused = query.where(sweeps.c.state == "paused", sweeps.c.reason == CODE_CHANGED)
    return [Asked(*r) for r in session.execute(paused.order_by(sweeps.c.id))]


def offer(session: Session, sweep: str, numerics: Mapping[str, str]) -> None:
    """Offers a paused sweep the class that workers are of now; no longer the one before.

    Raises:
        UnknownSweepError: there is no such sweep.
    """
    row = lock(session, sweep)
    if (row["state"], row["reason"]) == ("paused", CODE_CHANGED):
        name = know(session, numerics)
        session.execute(update(sweeps).where(sweeps.c.id == sweep).values(offered_class=name))


def back(session: Session, sweep: str) -> bool:
    """Lets a sweep go on as its own class is back; whether it was still paused for want of it.

    Raises:
        UnknownSweepError: there is no such sweep.
    """
    row = lock(session, sweep)
    asks = (row["state"], row["reason"]) == ("paused", CODE_CHANGED)
    if asks:
        resume(session, sweep, accept_class=row["class_id"])
    return asks


def classes_of(session: Session, sweep: str) -> set[str]:
    """Numerics classes that a sweep's trials are of; none before its first claim."""
    query = select(sweep_classes.c.class_id).where(sweep_classes.c.sweep == sweep)
    return set(session.scalars(query))


def pin(session: Session, sweep: str, numerics: Mapping[str, str]) -> bool:
    """Whether a worker of this class may train the sweep; the first one decides for all."""
    row = lock(session, sweep)
    if row["class_id"] is not None:
        return bool(row["class_id"] == class_id(numerics))
    name = know(session, numerics)
    session.execute(update(sweeps).where(sweeps.c.id == sweep).values(class_id=name))
    session.execute(insert(sweep_classes).values(sweep=sweep, class_id=name, rank=0))
    return True

"""Leases: at most one holder at a time, and none for longer than it renews."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.store.tables import leases


def acquire(session: Session, name: str, holder: str, ttl_s: float, now: datetime) -> bool:
    """Takes or renews a lease; False while another holder's has not run out."""
    module: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    until = now + timedelta(seconds=ttl_s)
    statement = module.insert(leases).values(name=name, holder=holder, expires_at=until)
    statement = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": holder, "expires_at": until},
        where=or_(leases.c.holder == holder, leases.c.expires_at <= now),
    ).returning(leases.c.holder)
    return bool(session.scalar(statement) == holder)


def undisputed(session: Session, name: str, holder: str) -> bool:
    """Whether no other holder has the lease, nor gets it before this transaction ends."""
    query = select(leases.c.holder).where(leases.c.name == name).with_for_update(read=True)
    return session.scalar(query) in (None, holder)


def drop(session: Session, name: str, holder: str) -> None:
    """Gives a lease up, if this holder has it."""
    session.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


def clear(session: Session, name: str) -> None:
    """Ends a lease whoever holds it: for a SQLite file, whose lock proves that nobody lives."""
    session.execute(delete(leases).where(leases.c.name == name))

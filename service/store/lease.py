"""Leases: at most one holder at a time, and none for longer than it renews."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Interval, delete, func, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.store.tables import leases

#: the one that the active dispatcher holds
LEASE = "dispatcher"
#: a host's time, or the database's as an expression
Moment = datetime | ColumnElement[datetime]


def clock(session: Session, host: datetime) -> Moment:
    """The time that all who share the store agree in.

    Hosts on one PostgreSQL may differ by more than a lease; its own clock is the same for all. A
    SQLite file is one host's alone. It is the time of the statement: a transaction may have waited
    for a lock since it began.
    """
    if session.get_bind().dialect.name == "postgresql":
        return func.clock_timestamp(type_=DateTime(timezone=True))
    return host


def acquire(session: Session, name: str, holder: str, ttl_s: float, now: Moment) -> bool:
    """Takes or renews a lease; False while another holder's has not run out.

    Until the transaction ends nobody else gets it, however long that takes: what is written in it
    is fenced.
    """
    module: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    ttl = timedelta(seconds=ttl_s)
    until = now + ttl if isinstance(now, datetime) else now + literal(ttl, Interval())
    statement = module.insert(leases).values(name=name, holder=holder, expires_at=until)
    statement = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": holder, "expires_at": until},
        where=or_(leases.c.holder == holder, leases.c.expires_at <= now),
    ).returning(leases.c.holder)
    return bool(session.scalar(statement) == holder)


def taken(session: Session, name: str, holder: str, now: Moment) -> bool:
    """Whether another has it; unlike `acquire` it waits for no transaction."""
    query = select(leases.c.holder).where(
        leases.c.name == name, leases.c.holder != holder, leases.c.expires_at > now
    )
    return session.scalar(query) is not None


def drop(session: Session, name: str, holder: str) -> None:
    """Gives a lease up, if this holder has it."""
    session.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


def clear(session: Session, name: str) -> None:
    """Ends a lease whoever holds it: for a SQLite file, whose lock proves that nobody lives."""
    session.execute(delete(leases).where(leases.c.name == name))

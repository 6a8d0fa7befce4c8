"""Sessions of the dashboard: kept as hashes of their ids, each of one API key."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from service.store.keys import Key, key_of
from service.store.tables import api_keys, sessions


@dataclass(frozen=True)
class Login:
    """A session, and the key that opened it."""

    key: Key
    expires_at: datetime


def begin(session: Session, hashed: str, key: str, *, now: datetime, expires_at: datetime) -> None:
    """Writes a session down; those that have run out go."""
    session.execute(delete(sessions).where(sessions.c.expires_at <= now))
    row = {"id": hashed, "key": key, "created_at": now, "expires_at": expires_at}
    session.execute(insert(sessions).values(row))


def find(session: Session, hashed: str) -> Login | None:
    """A session by the hash of its id."""
    query = (
        select(api_keys, sessions.c.expires_at.label("session_ends"))
        .join(sessions, sessions.c.key == api_keys.c.id)
        .where(sessions.c.id == hashed)
    )
    row = session.execute(query).mappings().one_or_none()
    if row is None:
        return None
    key = {name: value for name, value in row.items() if name != "session_ends"}
    return Login(key_of(key), row["session_ends"])


def end(session: Session, hashed: str) -> None:
    """Ends a session; one that is not there is no error."""
    session.execute(delete(sessions).where(sessions.c.id == hashed))

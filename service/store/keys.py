"""API keys: kept as argon2 hashes, never taken out again; revoked ones stay, so that logs tell."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import RowMapping, func, insert, or_, select, update
from sqlalchemy.orm import Session

from service.access.key import draw_key, id_of
from service.access.principal import Scope
from service.store.errors import UnknownKeyError
from service.store.tables import api_keys

#: when a key was used is kept no finer than this
COARSE = timedelta(seconds=60)


class Hasher(Protocol):
    """argon2.PasswordHasher, with the cost that it was made with."""

    def hash(self, password: str) -> str:
        """The hash, with its salt and cost."""


@dataclass(frozen=True)
class Key:
    """A key as the store knows it, without its secret."""

    id: str
    name: str
    owner: str
    scope: Scope
    hash: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


def create(
    session: Session,
    *,
    name: str,
    owner: str,
    scope: Scope,
    now: datetime,
    expires_at: datetime | None = None,
    hasher: Hasher,
    text: str | None = None,
) -> tuple[Key, str]:
    """Writes a key down and returns it with its text, which nothing can give again.

    Args:
        text: a key that somebody has drawn already.

    Raises:
        ValueError: `text` is no key.
    """
    drawn, made = (text, id_of(text)) if text is not None else draw_key(now)
    if made is None:
        raise ValueError("the text is no API key")
    row = {
        "id": made,
        "name": name,
        "owner": owner,
        "scope": scope.value,
        "hash": hasher.hash(drawn),
        "created_at": now,
        "expires_at": expires_at,
    }
    session.execute(insert(api_keys).values(row))
    found = find(session, made)
    if found is None:
        raise LookupError(made)
    return found, drawn


def find(session: Session, key: str) -> Key | None:
    """A key by its id."""
    row = session.execute(select(api_keys).where(api_keys.c.id == key)).mappings().one_or_none()
    return None if row is None else key_of(row)


def find_all(session: Session, ids: Collection[str]) -> dict[str, Key]:
    """Those of these keys that there are, by id."""
    rows = session.execute(select(api_keys).where(api_keys.c.id.in_(sorted(ids)))).mappings()
    return {row["id"]: key_of(row) for row in rows}


def key_of(row: Mapping[str, Any] | RowMapping) -> Key:
    """A key from its row."""
    return Key(**{**row, "scope": Scope(row["scope"])})


def page(session: Session, *, after: str | None, limit: int) -> list[Key]:
    """Keys in order of id, those before `after` left out."""
    query = select(api_keys).order_by(api_keys.c.id).limit(limit)
    if after is not None:
        query = query.where(api_keys.c.id > after)
    rows = session.execute(query).mappings()
    return [key_of(row) for row in rows]


def revoke(session: Session, key: str, *, now: datetime) -> Key:
    """Makes a key open nothing any more; again is no error.

    Raises:
        UnknownKeyError: there is none of this id.
    """
    open_ = (api_keys.c.id == key) & api_keys.c.revoked_at.is_(None)
    session.execute(update(api_keys).where(open_).values(revoked_at=now))
    found = find(session, key)
    if found is None:
        raise UnknownKeyError(key)
    return found


def used(session: Session, key: str, now: datetime) -> None:
    """Notes that a key was used, no finer than a minute."""
    last = api_keys.c.last_used_at
    stale = or_(last.is_(None), last < now - COARSE)
    session.execute(update(api_keys).where(api_keys.c.id == key, stale).values(last_used_at=now))


def admins(session: Session, now: datetime) -> int:
    """How many keys of scope admin open the service."""
    lasting = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    open_ = api_keys.c.revoked_at.is_(None) & (api_keys.c.scope == Scope.ADMIN.value) & lasting
    return session.scalar(select(func.count()).select_from(api_keys).where(open_)) or 0

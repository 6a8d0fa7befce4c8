"""Who did what, when, to what, from where: written in the transaction that does it."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from service.store.tables import audit_log

#: what became of it: `repeated` had been done before
OUTCOMES = ("done", "repeated", "refused")
_MOST = 200


@dataclass(frozen=True)
class Entry:
    """One act.

    Attributes:
        principal: who, '' where nobody was asked.
        key: id of the API key, '' without one.
        action: what, in the words of service.api.access.
        object: id of what it was done to, or the route that was refused.
        address: of the client, '' of a command on the store itself.
    """

    principal: str
    action: str
    object: str
    outcome: str
    key: str = ""
    request: str = ""
    address: str = ""


def write(session: Session, entry: Entry, *, now: datetime) -> None:
    """Adds an entry."""
    row = {name: value[:_MOST] for name, value in asdict(entry).items()}
    session.execute(insert(audit_log).values(at=now, **row))


def page(
    session: Session, *, before: int | None, limit: int, principal: str | None = None
) -> list[dict[str, Any]]:
    """Entries, newest first, older than number `before`; one principal's, if one is given."""
    query = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit_log.c.id < before)
    if principal is not None:
        query = query.where(audit_log.c.principal == principal)
    return [dict(row) for row in session.execute(query).mappings()]


def forget(session: Session, before: datetime) -> int:
    """Takes out what is older; how many entries that were."""
    found = session.execute(delete(audit_log).where(audit_log.c.at < before))
    return int(found.rowcount)  # type: ignore[attr-defined]

"""Announcements: what the active dispatcher says of itself to those who serve requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.store.lease import Moment
from service.store.tables import announcements, leases


@dataclass(frozen=True)
class Announcement:
    """What a dispatcher knows of its workers.

    Attributes:
        workers: those that have described themselves.
        classes: numerics classes that they are of.
        lacking: data sets that none of them has -> what to do.
        shares: sweep -> how far its running trials are through their budget on average, 0 to 1.
        storage: what is wrong with storage; None: nothing that is known.
        on_demand: whether more workers come when there is work for them.
    """

    workers: int = 0
    classes: frozenset[str] = frozenset()
    lacking: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    storage: str | None = None
    on_demand: bool = False


def announce(session: Session, name: str, holder: str, said: Announcement, now: Moment) -> None:
    """Says it in the place of what was said before under this lease's name."""
    content = {
        "workers": said.workers,
        "classes": sorted(said.classes),
        "lacking": dict(said.lacking),
        "shares": dict(said.shares),
        "storage": said.storage,
        "on_demand": said.on_demand,
    }
    module: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    values = {"holder": holder, "said_at": now, "content": content}
    statement = module.insert(announcements).values(name=name, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def heard(session: Session, name: str, now: Moment) -> Announcement | None:
    """What the holder of a lease says; None while nobody has it.

    A holder that has said nothing yet has no workers.
    """
    query = (
        select(announcements.c.content)
        .select_from(leases)
        .outerjoin(
            announcements,
            (announcements.c.name == leases.c.name) & (announcements.c.holder == leases.c.holder),
        )
        .where(leases.c.name == name, leases.c.expires_at > now)
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    content = row.content or {}
    return Announcement(
        workers=content.get("workers", 0),
        classes=frozenset(content.get("classes", ())),
        lacking=content.get("lacking", {}),
        shares=content.get("shares", {}),
        storage=content.get("storage"),
        on_demand=content.get("on_demand", False),
    )

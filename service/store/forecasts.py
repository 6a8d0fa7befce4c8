"""Forecasts: when a sweep will have ended, as the dispatcher told last, and what it told it from.

One row a sweep, so that progress reads it with the sweep's own.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import JSON, Float, String, Text, bindparam, cast, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.planning.eta import Eta
from service.store.batch import dialect_of
from service.store.plans import pack_from
from service.store.tables import forecasts, structures, sweeps
from service.store.types import UtcDateTime
from service.store.widths import structure_hash


@dataclass(frozen=True)
class Forecast:
    """Seconds of training to the end as of a moment; an interval where there is one."""

    told_at: datetime
    seconds: float
    interval_s: tuple[float, float] | None

    def at(self, now: datetime) -> tuple[float, tuple[float, float] | None]:
        """The same, that much later: seconds and interval, neither below 0."""
        gone = max(0.0, (now - self.told_at).total_seconds())
        if self.interval_s is None:
            return max(0.0, self.seconds - gone), None
        low, high = (max(0.0, edge - gone) for edge in self.interval_s)
        return max(0.0, self.seconds - gone), (low, high)


class Size(NamedTuple):
    """How many trials of which experiment."""

    trials: int
    experiment: str


def size_of(session: Session, sweep: str) -> Size | None:
    """Of a sweep; None when there is no such sweep."""
    query = select(sweeps.c.trials, sweeps.c.experiment).where(sweeps.c.id == sweep)
    row = session.execute(query).one_or_none()
    return None if row is None else Size(*row)


def going(session: Session, found: Collection[str]) -> set[str]:
    """Those of some sweeps that exist and have not ended."""
    query = select(sweeps.c.id).where(sweeps.c.id.in_(found), sweeps.c.ended_at.is_(None))
    return set(session.scalars(query))


def waiting(session: Session, sweep: str) -> dict[str, int]:
    """Structure hash -> trials that no worker holds and that have not ended; 0 of some."""
    found: Counter[str] = Counter()
    for r in session.execute(_WAITING, {"of": sweep}):  # an extension's packs may be as before
        found[structure_hash(pack_from(r.pack))] += int(r.n)
    return found


_WAITING = select(
    cast(structures.c.pack, Text).label("pack"),
    (structures.c.total - structures.c.position + structures.c.waiting).label("n"),
).where(structures.c.sweep == bindparam("of"))


def keep(
    session: Session, sweep: str, record: Mapping[str, Any], found: Eta | None, now: datetime
) -> None:
    """Replaces what was told before; does nothing for a sweep that is gone."""
    module: Any = postgresql if dialect_of(session) == "postgresql" else sqlite
    values = {
        "told_at": bindparam("now", now, UtcDateTime()),
        "seconds": bindparam("seconds", found.seconds if found else None, Float()),
        "low_s": bindparam("low_s", found.low if found else None, Float()),
        "high_s": bindparam("high_s", found.high if found else None, Float()),
        "record": bindparam("record", dict(record), JSON()),
    }
    here = select(bindparam("of", sweep, String()), *values.values()).where(
        sweeps.c.id == bindparam("of", sweep, String())
    )
    statement = module.insert(forecasts).from_select(["sweep", *values], here)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["sweep"], set_={name: statement.excluded[name] for name in values}
        )
    )


def recall(session: Session, sweep: str) -> dict[str, Any] | None:
    """What the last forecast was told from."""
    found: dict[str, Any] | None = session.scalar(
        select(forecasts.c.record).where(forecasts.c.sweep == sweep)
    )
    return found

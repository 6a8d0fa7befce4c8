"""Forecasts: when a sweep will have ended, as the dispatcher told last, and what it told it from.

One row a sweep, so that progress reads it with the sweep's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import JSON, Float, String, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.planning.eta import Eta
from service.store.batch import dialect_of
from service.store.tables import END_STATES, arms, forecasts, sweeps
from service.store.types import UtcDateTime


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


class Counts(NamedTuple):
    """A sweep's trials, and how many of them are terminal."""

    trials: int
    ended: int


def counts(session: Session, sweep: str) -> Counts | None:
    """From its arms; None when there is no such sweep."""
    row = session.execute(_COUNTS, {"of": sweep}).one()
    return None if row.trials is None else Counts(int(row.trials), int(row.ended))


_COUNTS = select(
    func.sum(arms.c.trials).label("trials"),
    sum((func.sum(arms.c[s]) for s in END_STATES[1:]), func.sum(arms.c[END_STATES[0]])).label(
        "ended"
    ),
).where(arms.c.sweep == bindparam("of"))


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

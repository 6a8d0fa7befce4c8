"""How fast structures trained here: what workers said of their calls, added up by device and code.

A worker's speed is of whole calls, evaluation and start-up included, since that is what a sweep
takes.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.store.batch import dialect_of
from service.store.tables import speeds
from service.store.widths import structure_hash
from workers.messages import PackSpec


def add(
    session: Session, pack: PackSpec, class_id: str, lane_steps: int, seconds: float, now: datetime
) -> None:
    """Adds what a worker trained; a call that trained nothing says nothing."""
    if lane_steps < 1 or seconds <= 0:
        return
    module: Any = postgresql if dialect_of(session) == "postgresql" else sqlite
    statement = module.insert(speeds).values(
        structure=structure_hash(pack),
        class_id=class_id,
        experiment=pack.experiment,
        lane_steps=lane_steps,
        seconds=seconds,
        measured_at=now,
    )
    new = statement.excluded
    more = {
        "lane_steps": speeds.c.lane_steps + new.lane_steps,
        "seconds": speeds.c.seconds + new.seconds,
        "measured_at": new.measured_at,
    }
    session.execute(
        statement.on_conflict_do_update(index_elements=["structure", "class_id"], set_=more)
    )


def of_experiment(session: Session, experiment: str) -> dict[str, float]:
    """Structure hash -> lane-steps a second of one worker, of what trained it last."""
    rows = session.execute(
        select(speeds).where(speeds.c.experiment == experiment).order_by(speeds.c.measured_at)
    )
    return {r.structure: r.lane_steps / r.seconds for r in rows}


def known(found: Mapping[str, float], packs: Iterable[PackSpec]) -> list[float | None]:
    """The speeds of these packs, in order; None of structures that have not trained here."""
    return [found.get(structure_hash(pack)) for pack in packs]

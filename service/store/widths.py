"""Widths that measured best, remembered by structure and numerics class: a device and its code."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.store.batch import dialect_of
from service.store.tables import widths
from workers.messages import PackSpec


def structure_hash(pack: PackSpec) -> str:
    """32 hex digits that name what fixes a pack's tensors: the experiment and its structure."""
    return _hash(pack.experiment, json.dumps(dict(pack.shared), sort_keys=True))


@lru_cache(maxsize=4096)
def _hash(experiment: str, shared: str) -> str:
    return hashlib.sha256(f"{experiment}\n{shared}".encode()).hexdigest()[:32]


def remember(
    session: Session, pack: PackSpec, class_id: str, found: Mapping[int, int], now: datetime
) -> None:
    """Keeps level -> lanes of a group; a later search replaces an earlier one."""
    if not found:
        return
    module: Any = postgresql if dialect_of(session) == "postgresql" else sqlite
    key = {"structure": structure_hash(pack), "class_id": class_id}
    rows = [
        key | {"level": level, "lanes": lanes, "measured_at": now} for level, lanes in found.items()
    ]
    statement = module.insert(widths).values(rows)
    later = {name: statement.excluded[name] for name in ("lanes", "measured_at")}
    keys = ["structure", "class_id", "level"]
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=later))


def recall(session: Session, pack: PackSpec, class_id: str) -> dict[int, int]:
    """Level -> lanes of a group, as far as it was measured on such a device."""
    here = (widths.c.structure == structure_hash(pack), widths.c.class_id == class_id)
    found = session.execute(select(widths.c.level, widths.c.lanes).where(*here))
    return {r.level: r.lanes for r in found}

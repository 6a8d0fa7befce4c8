"""The run log: what the findings must not depend on."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from service.report.audit import summary
from service.report.trail import trail
from service.store.evidence import run_facts, seconds_between
from service.store.plans import extension_times
from service.store.sweeps import show


def run_log(session: Session, sweep: str) -> Mapping[str, Any]:
    """Id, times, attempts, workers, numerics classes, and what the audit flags."""
    view = show(session, sweep)
    end, start = view.ended_at, view.started_at
    return {
        "sweep": view.id,
        "state": view.state,
        "criteria_version": view.criteria_version,
        **extension_times(session, sweep),
        "created_at": view.created_at.isoformat(),
        "started_at": start.isoformat() if start else None,
        "ended_at": end.isoformat() if end else None,
        "seconds": seconds_between(start, end) if start and end else None,
        **run_facts(session, sweep),
        "audit": summary(session, sweep),
        "exclusions": trail(session, sweep),
    }

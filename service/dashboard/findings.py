"""Findings of finished sweeps, computed when first asked for and then remembered."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from service.report.build import build
from service.store import replays
from service.store.sweeps import SweepView

_MOST = 64
#: a sweep as it is: it may have ended again since, been given criteria, or been replayed
_Key = tuple[str, datetime | None, int, int]


class Findings:
    """Remembers what the dashboard shows of at most 64 reports; safe to share among threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, Mapping[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, session: Session, sweep: SweepView) -> Mapping[str, Any] | None:
        """What the report found, or None while the sweep is not finished."""
        if sweep.state != "finished":
            return None
        again = replays.counts(session, sweep.id)
        compared = again["equal"] + again["different"]
        key = sweep.id, sweep.ended_at, sweep.criteria_version, compared
        with self._lock:  # two who ask at once share one computation
            if key not in self._known:
                report = build(session, sweep.id)
                self._known[key] = {
                    "hash": report.findings_hash,
                    "audit": [flag["says"] for flag in report.run_log["audit"]["flags"]],
                    "plan": report.findings["plan"],
                    "estimand": report.findings["estimand"],
                    "criteria": sorted(
                        (
                            {k: v for k, v in c.items() if k != "cells"}
                            for c in report.findings["criteria"]
                        ),
                        key=lambda c: not c["primary"],
                    ),
                }
            self._known.move_to_end(key)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
            return self._known[key]

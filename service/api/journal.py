"""Writes down who did what: acts in their own transaction, refusals in one of their own."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from service.access.principal import Principal
from service.store import activity
from service.store.activity import Entry

#: of one principal and route a refusal is written down once in so long: refusals are free to cause
AGAIN_S = 60.0
#: old entries are looked for this often
_FORGET_S = 3600.0
_MOST = 10_000

log = structlog.get_logger()


class Journal:
    """Safe to share among threads.

    Args:
        writing: sessions of the store.
        days: entries are kept for so long.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        writing: sessionmaker[Session],
        days: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writing = writing
        self._keep = timedelta(days=days)
        self._clock = clock
        self._lock = threading.Lock()
        self._refused: dict[tuple[str, ...], float] = {}
        self._forgot = float("-inf")

    def write(self, session: Session, entry: Entry) -> None:
        """Adds an entry to a transaction; once an hour what is too old goes with it."""
        now = datetime.now(UTC)
        activity.write(session, entry, now=now)
        with self._lock:
            due = self._clock() >= self._forgot + _FORGET_S
            if due:
                self._forgot = self._clock()
        if due:
            activity.forget(session, now - self._keep)

    def apart(self, entry: Entry) -> None:
        """Writes an entry in a transaction of its own; a store that is away refuses nobody."""
        try:
            with self._writing.begin() as session:
                self.write(session, entry)
        except SQLAlchemyError as error:
            log.warning("activity_not_written", action=entry.action, error=type(error).__name__)

    def refused(self, entry: Entry, route: str = "") -> None:
        """Writes a refusal down, if the same was not within the last minute.

        Args:
            route: what counts as the same, where that is more than one object: paths are free.
        """
        with self._lock:
            name = (entry.principal, entry.key, entry.action, route or entry.object)
            if self._clock() < self._refused.get(name, float("-inf")) + AGAIN_S:
                return
            if len(self._refused) >= _MOST:
                self._refused.clear()
            self._refused[name] = self._clock()
        self.apart(entry)


def entry_of(
    scope: Mapping[str, Any], principal: Principal, action: str, on: str, outcome: str
) -> Entry:
    """An entry of a request."""
    client = scope.get("client")
    return Entry(
        principal=principal.name,
        action=action,
        object=on,
        outcome=outcome,
        key=principal.key,
        request=str(structlog.contextvars.get_contextvars().get("request_id", "")),
        address=str(client[0]) if client else "",
    )

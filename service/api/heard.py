"""What the API knows of the dispatcher, wherever that runs: what it announced in the store."""

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError, TimeoutError  # noqa: A004 - SQLAlchemy's name
from sqlalchemy.orm import Session, sessionmaker

from service.api.state import Health
from service.store.announcements import Announcement, heard
from service.store.lease import LEASE, clock

#: what was read is good for so long, and so is that it could not be read
FRESH_S = 1.0
#: who reads is waited for so long by the others: a store that hangs says nothing for much longer
WAIT_S = 3.0


class Heard:
    """What the active dispatcher announced, asked for at most once a second; for any thread.

    One thread waits for a store that hangs, and the others not for long.

    Args:
        reading: sessions that do not compete with those of requests: one that holds a connection
            asks for another here.
    """

    def __init__(self, reading: sessionmaker[Session]) -> None:
        self._reading = reading
        self._lock = threading.Lock()
        self._said: Announcement | None = None
        self._failed: SQLAlchemyError | None = None
        self._asked_at: float | None = None

    def _announcement(self) -> Announcement | None:
        """What is said now; None while no dispatcher is active.

        Raises:
            SQLAlchemyError: the store cannot be read, or could not a moment ago.
        """
        if not self._lock.acquire(timeout=WAIT_S):
            raise TimeoutError(f"the store has not answered another request for {WAIT_S:g} s")
        try:
            if self._asked_at is None or time.monotonic() - self._asked_at > FRESH_S:
                self._ask()
            if self._failed is not None:
                raise self._failed.with_traceback(None)
            return self._said
        finally:
            self._lock.release()

    def _ask(self) -> None:
        self._said = self._failed = None
        try:
            with self._reading() as session:
                self._said = heard(session, LEASE, clock(session, datetime.now(UTC)))
        except SQLAlchemyError as error:
            self._failed = error
        self._asked_at = time.monotonic()

    def health(self) -> Health:
        """What /readyz says; it waits for no writer."""
        try:
            said = self._announcement()
        except SQLAlchemyError:
            return Health(store=False, dispatcher=False, workers=0)
        if said is None:
            return Health(store=True, dispatcher=False, workers=0)
        return Health(
            store=True,
            dispatcher=True,
            workers=said.workers,
            storage=said.storage,
            on_demand=said.on_demand,
        )

    def running_share(self, sweep: str) -> float | None:
        """How far a sweep's running trials are."""
        said = self._announcement()
        return None if said is None else said.shares.get(sweep)

    def lacking(self, names: Iterable[str]) -> Mapping[str, str]:
        """Of these data sets those that no worker has, and what to do; none while none is up."""
        said = self._announcement()
        return {} if said is None else {n: said.lacking[n] for n in names if n in said.lacking}

    def classes(self) -> Collection[str] | None:
        """Numerics classes that workers are of; None while nobody knows.

        No dispatcher is active then, or no worker is up where they come on demand.
        """
        said = self._announcement()
        if said is None or (said.on_demand and not said.workers):
            return None
        return said.classes

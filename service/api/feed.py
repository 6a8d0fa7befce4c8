"""What is so of a sweep now, for all the streams of this process that follow it: read once for all.

A feed holds one look at the sweep and the last telemetry, whatever the number of streams and
however slow they are: a stream takes the newest when it is ready for it.
"""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
import structlog
from anyio import CapacityLimiter
from sqlalchemy.exc import SQLAlchemyError

from service.store.errors import UnknownSweepError

log = structlog.get_logger()

#: without a word from the bus the store is looked at this often
POLL_S = 2.0
#: however much is said, it is looked at no more often than this
PACE_S = 0.5
#: what changes by itself or is known to one process alone, so that ids are the same everywhere
_PASSING = ("eta_s", "eta_interval_s", "running_share")


@dataclass(frozen=True)
class Look:
    """A sweep at one moment.

    Attributes:
        id: names its counters, and is the same in every process; a client says which it has.
        text: its progress as JSON.
        over: whether nothing more happens to it.
    """

    id: str
    state: str
    reason: str | None
    text: str
    over: bool

    @property
    def heading(self) -> dict[str, Any]:
        """What a sweep does, and why the service had it do so."""
        return {"state": self.state, "reason": self.reason}


GONE = Look("", "deleted", None, "", over=True)


def look(progress: Mapping[str, Any]) -> Look:
    """What a stream says of progress, as the API shows it."""
    lasting = {k: v for k, v in progress.items() if k not in _PASSING}
    named = hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:16]
    state = str(progress["state"])
    text = json.dumps(progress, allow_nan=False)
    return Look(named, state, progress["reason"], text, state in ("finished", "cancelled"))


class Feed:
    """One sweep's; of one event loop.

    Args:
        sweep: its id.
        read: its progress as the API shows it; called in a thread.
        limiter: how many feeds read at once.

    Attributes:
        number: goes up with every change.
        now: the newest look; None before the first.
        telemetry: what the dispatcher said last.
        over: whether there is nothing more to wait for: the sweep has ended, or this process does.
    """

    def __init__(
        self, sweep: str, read: Callable[[str], Mapping[str, Any]], limiter: CapacityLimiter
    ) -> None:
        self.number = 0
        self.now: Look | None = None
        self.telemetry: Mapping[str, Any] | None = None
        self.over = False
        self._sweep = sweep
        self._read = read
        self._limiter = limiter
        self._hint = asyncio.Event()
        self._news = asyncio.Event()

    def hear(self, telemetry: Mapping[str, Any] | None) -> None:
        """The bus said something of the sweep."""
        self._hint.set()
        if telemetry is not None and telemetry != self.telemetry:
            self.telemetry = telemetry
            self._tell()

    def end(self) -> None:
        """Streams end now, whatever the sweep does."""
        self.over = True
        self._hint.set()
        self._tell()

    async def after(self, seen: int) -> None:
        """Waits until there is something newer than number `seen`."""
        while self.number <= seen and not self.over:
            await self._news.wait()

    async def run(self) -> None:
        """Looks again and again until the sweep is over."""
        failing = False
        while not self.over:
            self._hint.clear()
            began = time.monotonic()
            try:
                await self.look()
                failing = False
            except SQLAlchemyError as error:
                if not failing:
                    log.warning("stream_waits_for_store", sweep=self._sweep, error=str(error))
                failing = True
            except Exception:
                log.exception("stream_failed", sweep=self._sweep)
                self.end()  # rather than a stream that says nothing for ever
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._hint.wait()
            await asyncio.sleep(max(0.0, began + PACE_S - time.monotonic()))

    async def look(self) -> None:
        """Looks once.

        Raises:
            SQLAlchemyError: the store is away.
        """
        try:
            found = look(
                await anyio.to_thread.run_sync(self._read, self._sweep, limiter=self._limiter)
            )
        except UnknownSweepError:
            found = GONE
        if found != self.now:
            self.now = found
            self.over = self.over or found.over
            self._tell()

    def _tell(self) -> None:
        self.number += 1
        told, self._news = self._news, asyncio.Event()
        told.set()

"""Every event stream of one process: so many at most, one feed a sweep, and all ended at once."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anyio import CapacityLimiter

from service.api.feed import GONE, Feed
from service.bus import EVERY_SWEEP, Bus, Message, sweep_topic
from service.errors import ProblemError
from service.store.errors import UnknownSweepError

#: so many feeds read the store at once, beside the requests
READERS = 2
#: a listener looks this often whether it is still wanted
LOOK_S = 0.5
#: who is refused comes back after so long
RETRY_AFTER_S = 10


@dataclass
class _Followed:
    """A feed, and how many follow it."""

    feed: Feed
    followers: int = 0
    task: asyncio.Task[None] | None = None


class Streams:
    """The streams of one application; of one event loop.

    Args:
        bus: says that sweeps changed.
        read: a sweep's progress as the API shows it.
        most: streams at once.
    """

    def __init__(self, bus: Bus, read: Callable[[str], Mapping[str, Any]], most: int) -> None:
        self._bus = bus
        self._read = read
        self._most = most
        self._open = 0
        self._ended = False
        self._followed: dict[str, _Followed] = {}
        self._running = 0
        self._limiter = CapacityLimiter(READERS)
        self._unwanted = threading.Event()

    @property
    def open(self) -> int:
        """How many there are now."""
        return self._open

    @property
    def most(self) -> int:
        """How many there may be."""
        return self._most

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """One of the places that there are.

        Raises:
            ProblemError: 503, all are taken, or the process ends.
        """
        if self._ended or self._open >= self._most:
            why = (
                "this process is ending"
                if self._ended
                else f"all {self._most} event streams of this process are taken"
            )
            raise ProblemError(
                503,
                f"{why}; each holds a connection for as long as its sweep runs",
                "poll progress meanwhile, or come back; SEEDBED_STREAMS says how many there are",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    @contextlib.asynccontextmanager
    async def follow(self, sweep: str) -> AsyncIterator[Feed]:
        """The feed of a sweep, which has been looked at; shared by all who follow it.

        Raises:
            UnknownSweepError: there is no such sweep.
            SQLAlchemyError: the store is away.
        """
        entry = self._followed.get(sweep)
        if entry is None or entry.feed.over:  # one that is over may have been extended since
            entry = self._followed[sweep] = _Followed(Feed(sweep, self._read, self._limiter))
        entry.followers += 1
        try:
            if entry.feed.now is None:
                await entry.feed.look()
            if entry.feed.now is GONE:
                raise UnknownSweepError(sweep)
            self._begin(entry)
            yield entry.feed
        finally:
            entry.followers -= 1
            if not entry.followers:
                self._forget(sweep, entry)

    def end(self) -> None:
        """Ends every stream, and gives no more."""
        self._ended = True
        for entry in self._followed.values():
            entry.feed.end()

    def _begin(self, entry: _Followed) -> None:
        if entry.task is not None:
            return
        if not self._running:
            self._unwanted = threading.Event()
            listener = threading.Thread(
                target=self._listen,
                args=(asyncio.get_running_loop(), self._unwanted),
                name="streams",
                daemon=True,
            )
            listener.start()
        entry.task = asyncio.create_task(entry.feed.run())
        self._running += 1

    def _forget(self, sweep: str, entry: _Followed) -> None:
        if self._followed.get(sweep) is entry:
            del self._followed[sweep]
        if entry.task is not None:
            entry.task.cancel()
            self._running -= 1
            if not self._running:
                self._unwanted.set()

    def _listen(self, loop: asyncio.AbstractEventLoop, unwanted: threading.Event) -> None:
        """A thread: what the bus says goes to the loop."""
        with self._bus.subscribe(EVERY_SWEEP) as heard, contextlib.suppress(RuntimeError):
            while not unwanted.is_set():
                message = heard.next(LOOK_S)
                if message is not None:
                    loop.call_soon_threadsafe(self._hear, message)  # RuntimeError: it is closed

    def _hear(self, message: Message) -> None:
        entry = self._followed.get(message.topic.removeprefix(sweep_topic("")))
        if entry is not None:
            entry.feed.hear(telemetry_of(message))


def telemetry_of(message: Message) -> Mapping[str, Any] | None:
    """The telemetry in a message, if it has some, and nothing else that may be in it."""
    said = message.content.get("telemetry")
    if not isinstance(said, Mapping):
        return None
    running, share = said.get("running"), said.get("share")
    if not isinstance(running, int) or not (share is None or isinstance(share, int | float)):
        return None
    return {"running": running, "share": share}

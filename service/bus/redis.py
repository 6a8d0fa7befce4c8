"""The bus between processes: Redis publishes; a Redis that dies or hangs delays nobody.

Publishing leaves a message in a mailbox, which one thread empties into Redis; each subscription has
a thread that empties Redis into its mailbox. Whatever happens on the way happens in these threads.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.exceptions import RedisError
from redis.retry import Retry

from service.bus.address import address_of
from service.bus.link import Link
from service.bus.mailbox import Mailbox
from service.bus.protocol import Message, Messages, decode, encode

log = structlog.get_logger()

#: channels are Redis's own, whatever the number of the database
PREFIX = "seedbed:"
#: the longest that a thread of the bus waits for a connection or an answer
TIMEOUT_S = 2.0
#: after a failure nobody tries for so long
PAUSE_S = 0.5
#: an idle connection is tried so often, so that a server that hangs is found
PROBE_S = 5.0
#: a subscription that is refused again and again tries more and more seldom, down to this
LONGEST_PAUSE_S = 30.0
_MOST_DOUBLINGS = 10
#: a subscription that is left holds its thread and connection for so long
LOOK_S = 0.1
#: entering a subscription waits so long for the server's word that it stands
STANDS_S = 2.0
_PROBE = "probe"


class RedisBus:
    """A Bus through Redis; `close` it.

    Args:
        url: redis://, rediss:// or unix://, as `address_of` reads it.

    Attributes:
        link: whether the server answers.
    """

    def __init__(self, url: str) -> None:
        self.link = Link(address_of(url))
        self._client = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # once: a connection that was kept may be stale
            protocol=2,
        )
        self._outbox = Mailbox()
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._begin(self._send, "bus-send")

    def publish(self, topic: str, message: Mapping[str, Any]) -> None:
        """Leaves it to be sent; what a dead server could not take is sent when it is back."""
        self._outbox.put(decode(topic, encode(topic, message)))

    @contextlib.contextmanager
    def subscribe(self, *topics: str) -> Iterator[Messages]:
        """Hears topics until the block ends; connects anew by itself whenever it must."""
        mailbox, over, stands = Mailbox(), threading.Event(), threading.Event()
        self._begin(lambda: self._receive(topics, mailbox, over, stands), "bus-receive")
        stands.wait(STANDS_S)
        try:
            yield mailbox
        finally:
            over.set()
            mailbox.close()

    def close(self) -> None:
        """Ends the threads, each within a moment, and the connections with them."""
        self._closed.set()
        self._outbox.put(Message(_PROBE, {}))  # who waits for something to send need not wait on
        for thread in self._threads:
            thread.join(2 * TIMEOUT_S)
        self._client.close()

    def _begin(self, run: Callable[[], None], name: str) -> None:
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(threading.Thread(target=run, name=name, daemon=True))
        self._threads[-1].start()

    def _send(self) -> None:
        """Empties the outbox; tries an idle server now and then, and a lost one until it answers.

        Trying is publishing too, so that a server that may be asked but not told stays lost.
        """
        spoken = time.monotonic()
        while not self._closed.is_set():
            if not self.link.up:
                if self._closed.wait(PAUSE_S):
                    return
                with contextlib.suppress(RedisError, OSError):
                    self._client.publish(PREFIX + _PROBE, "{}")
                    self.link.back()
                continue
            message = self._outbox.next(PAUSE_S)
            if self._closed.is_set():
                return
            if message is None and time.monotonic() - spoken < PROBE_S:
                continue
            said = message or Message(_PROBE, {})
            try:
                self._client.publish(PREFIX + said.topic, encode(said.topic, said.content))
                spoken = time.monotonic()
            except (RedisError, OSError) as error:
                self.link.lost(error)
                if message is not None:
                    self._outbox.put_back(message)

    def _receive(
        self,
        topics: tuple[str, ...],
        mailbox: Mailbox,
        over: threading.Event,
        stands: threading.Event,
    ) -> None:
        wanted, failed = tuple(dict.fromkeys(topics)), 0
        while not over.is_set() and not self._closed.is_set():
            if not self.link.wait(PAUSE_S, up=True):
                continue
            losses = self.link.losses
            try:
                with PubSub(self._client.connection_pool) as channel:
                    _ask(channel, wanted)
                    while not over.is_set() and not self._closed.is_set():
                        if self.link.losses != losses:
                            break
                        if self._take(channel, mailbox, len(wanted)):
                            failed = 0
                            stands.set()
            except (RedisError, OSError) as error:
                failed += 1
                self.link.lost(error)
                over.wait(_pause_s(failed))

    def _take(self, channel: PubSub, mailbox: Mailbox, wanted: int) -> bool:
        """Takes what comes within a moment; True once the server has confirmed all topics."""
        found = channel.get_message(timeout=LOOK_S)
        if found is None:
            return False
        if found["type"] in ("subscribe", "psubscribe"):
            return int(found["data"]) == wanted
        if found["type"] in ("message", "pmessage"):
            topic = found["channel"].decode(errors="replace").removeprefix(PREFIX)
            try:
                mailbox.put(decode(topic, found["data"]))
            except ValueError as error:
                log.warning("message_refused", topic=topic[:100], error=str(error))
        return False


def _pause_s(failed: int) -> float:
    """Seconds that a subscription rests after so many failures in a row."""
    return min(LONGEST_PAUSE_S, PAUSE_S * 2.0 ** min(failed - 1, _MOST_DOUBLINGS))


def _ask(channel: PubSub, topics: tuple[str, ...]) -> None:
    exact = [PREFIX + topic for topic in topics if not topic.endswith("*")]
    begun = [PREFIX + topic for topic in topics if topic.endswith("*")]
    if exact:
        channel.subscribe(*exact)
    if begun:
        channel.psubscribe(*begun)

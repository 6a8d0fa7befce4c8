"""The bus of a service that is one process: mailboxes in memory."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from service.bus.mailbox import Mailbox
from service.bus.protocol import Messages, decode, encode


class LocalBus:
    """A Bus within this process, and the same as RedisBus for whoever uses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribed: list[tuple[tuple[str, ...], Mailbox]] = []

    def publish(self, topic: str, message: Mapping[str, Any]) -> None:
        """Puts it in the mailbox of whoever hears the topic."""
        said = decode(topic, encode(topic, message))  # a copy that no two subscribers share
        with self._lock:
            for wanted, mailbox in self._subscribed:
                if any(matches(topic, each) for each in wanted):
                    mailbox.put(said)

    @contextlib.contextmanager
    def subscribe(self, *topics: str) -> Iterator[Messages]:
        """Hears topics until the block ends."""
        entry = (topics, Mailbox())
        with self._lock:
            self._subscribed.append(entry)
        try:
            yield entry[1]
        finally:
            with self._lock:
                self._subscribed = [each for each in self._subscribed if each is not entry]
            entry[1].close()

    def close(self) -> None:
        """Nobody hears anything any more."""
        with self._lock:
            self._subscribed = []


def matches(topic: str, wanted: str) -> bool:
    """Whether a subscription to `wanted` hears a topic."""
    return topic.startswith(wanted[:-1]) if wanted.endswith("*") else topic == wanted

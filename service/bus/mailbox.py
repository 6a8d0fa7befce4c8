"""A mailbox that never grows: of each topic the newest message, the longest waiting first."""

import threading

from service.bus.protocol import Message

#: messages on more topics than this push the oldest out
MOST_TOPICS = 1024


class Mailbox:
    """Takes messages without waiting and gives each once; safe to use from any thread."""

    def __init__(self, most_topics: int = MOST_TOPICS) -> None:
        self._most = most_topics
        self._waiting: dict[str, Message] = {}
        self._closed = False
        self._changed = threading.Condition()

    def put(self, message: Message) -> None:
        """Keeps it in the place of an older one on its topic."""
        with self._changed:
            if self._closed:
                return
            self._waiting[message.topic] = message
            if len(self._waiting) > self._most:
                del self._waiting[next(iter(self._waiting))]
            self._changed.notify()

    def put_back(self, message: Message) -> None:
        """Keeps what was taken and not delivered, unless there is a newer one on its topic."""
        with self._changed:
            if len(self._waiting) < self._most:
                self._waiting.setdefault(message.topic, message)

    def next(self, timeout_s: float) -> Message | None:
        """The message that waited longest, or None if none came within the time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, timeout_s):
                return None
            return self._waiting.pop(next(iter(self._waiting)))

    def close(self) -> None:
        """Empties it, for good."""
        with self._changed:
            self._closed = True
            self._waiting = {}

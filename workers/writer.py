"""Writes files while training goes on: from a bounded queue, which refuses rather than waits."""

import threading
import time
from collections import deque
from collections.abc import Callable

from workers.storage import Storage, StorageError

#: files that may wait; each holds a copy of a lane
ROOM = 8
_THREADS = 4
_MOST_TOLD = 3


class Writer:
    """Threads that write to storage; they never keep the process alive.

    Args:
        storage: where to.
        room: files that may wait or be in writing at once.
    """

    def __init__(self, storage: Storage, room: int = ROOM) -> None:
        self._storage = storage
        self._room = room
        self._changed = threading.Condition()
        self._queue: deque[tuple[str, Callable[[], bytes]]] = deque()
        self._pending: dict[str, float] = {}
        self._troubles: dict[str, None] = {}
        self._threads = 0

    def offer(self, name: str, data: Callable[[], bytes], wait_s: float = 0.0) -> bool:
        """Takes a file to write unless there is no room, or the one before is not written yet.

        Args:
            data: makes the content, in the thread that writes it.
            wait_s: so long it may take until there is room.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._open(name), wait_s):
                return False
            self._pending[name] = time.monotonic()
            self._queue.append((name, data))
            if self._threads < min(_THREADS, len(self._pending)):
                self._threads += 1
                threading.Thread(target=self._work, name="storage", daemon=True).start()
            self._changed.notify_all()
            return True

    def takes(self, name: str) -> bool:
        """Whether a file could be offered now: who asks first need copy nothing in vain."""
        with self._changed:
            return self._open(name)

    def _open(self, name: str) -> bool:
        return name not in self._pending and len(self._pending) < self._room

    def withdraw(self, name: str) -> None:
        """Forgets a file that nobody has begun to write."""
        with self._changed:
            for item in [item for item in self._queue if item[0] == name]:
                self._queue.remove(item)
                del self._pending[name]

    def wait(self, limit_s: float) -> bool:
        """Waits until everything is written; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, limit_s)

    def troubles(self, patience_s: float = 60.0) -> tuple[str, ...]:
        """What went wrong since the last call, in few words, and whether a write hangs."""
        with self._changed:
            found = list(self._troubles)
            self._troubles.clear()
            since = min(self._pending.values(), default=None)
        if since is not None and (late := time.monotonic() - since) > patience_s:
            found.append(f"a write has been going on for {late:.0f} s; no other can follow it")
        return tuple(found[:_MOST_TOLD])

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                name, data = self._queue.popleft()
            try:
                self._storage.write(name, data())
            except StorageError as error:
                trouble: str | None = str(error)
            except Exception as error:  # noqa: BLE001 - the thread must live for the next file
                trouble = f"{name} could not be made ({type(error).__name__}: {error})"
            else:
                trouble = None
            with self._changed:
                del self._pending[name]
                if trouble is not None and len(self._troubles) < _MOST_TOLD:
                    self._troubles[trouble] = None
                self._changed.notify_all()

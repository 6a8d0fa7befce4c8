"""The janitor: removes files in storage that nobody needs, slowly and beside the dispatcher.

A checkpoint goes once its trial's outcome is committed, a sweep's files once the sweep is deleted.
What is missed then, since a process died or a late attempt still wrote, is found by looking through
one sweep's folder a turn. Only files of sweeps that this store has, or had, are ever touched.
"""

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable

import structlog
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.faults import unreachable
from service.store import files
from workers.storage import Storage, StorageError

log = structlog.get_logger()

#: a turn begins so long after the last
PAUSE_S = 60.0
#: files removed a turn and folder, and checkpoints that may wait to be removed
MOST_FILES = 1000
MOST_WAITING = 10_000
_MOST_SWEEPS = 10
_CHECKPOINT = re.compile(r"(\d+)\.safetensors(\.[0-9a-f]+\.partial)?")
_WEIGHTS = re.compile(r"(\d+)-(\d+)\.safetensors(\.[0-9a-f]+\.partial)?")


class Janitor:
    """Clears storage in a thread of its own.

    Args:
        sessions: of the store; no statement is under way while storage is asked.
        storage: where the files lie.
    """

    def __init__(self, sessions: sessionmaker[Session], storage: Storage) -> None:
        self._sessions = sessions
        self._storage = storage
        self._waiting: deque[str] = deque(maxlen=MOST_WAITING)
        self._visited = {"checkpoints": "", "weights": ""}

    def discard(self, names: Iterable[str]) -> None:
        """Files to be removed at the next turn; never waits, and safe to call from any thread."""
        self._waiting.extend(names)

    def run(self, stop: threading.Event, pause_s: float = PAUSE_S) -> None:
        """Turns until told to stop."""
        while not stop.wait(pause_s):
            self.turn()

    def turn(self) -> None:
        """One round; a part that fails is logged, and done in a later one."""
        for part in (self._discarded, self._deleted, self._checkpoints, self._weights):
            try:
                part()
            except StorageError as error:
                log.warning("storage_not_cleared", error=str(error))
            except Exception as error:
                if unreachable(error):
                    log.warning("store_unreachable", error=str(error))
                else:  # one file that it cannot judge must not end the clearing of all others
                    log.exception("storage_not_cleared")

    def _discarded(self) -> None:
        while self._waiting:
            name = self._waiting.popleft()
            try:
                self._storage.remove([name])
            except StorageError:
                self._waiting.appendleft(name)
                raise

    def _deleted(self) -> None:
        """Files of deleted sweeps; a sweep is forgotten once both its folders are empty."""
        with self._sessions() as session:
            gone = files.deleted(session, _MOST_SWEEPS)
        for sweep in gone:
            left = [self._empty(f"{kind}/{sweep}") for kind in self._visited]
            if not any(left):
                with self._sessions.begin() as session:
                    files.cleared(session, sweep)

    def _empty(self, folder: str) -> int:
        """Removes files of a folder, and the folder with its last one; how many are left."""
        found = self._storage.files(folder)
        self._storage.remove(f"{folder}/{f.name}" for f in found[:MOST_FILES])
        if found and len(found) <= MOST_FILES:
            self._storage.remove_folder(folder)
        return max(0, len(found) - MOST_FILES)

    def _checkpoints(self) -> None:
        def needless(session: Session, sweep: str, named: dict[str, re.Match[str]]) -> set[str]:
            trials = {name: int(m[1]) for name, m in named.items()}
            gone = files.needless_checkpoints(session, sweep, set(trials.values()))
            return {name for name, trial in trials.items() if trial in gone}

        self._look("checkpoints", _CHECKPOINT, needless)

    def _weights(self) -> None:
        def needless(session: Session, sweep: str, named: dict[str, re.Match[str]]) -> set[str]:
            pairs = {name: (int(m[1]), int(m[2])) for name, m in named.items()}
            gone = files.needless_weights(session, sweep, set(pairs.values()))
            return {name for name, pair in pairs.items() if pair in gone}

        self._look("weights", _WEIGHTS, needless)

    def _look(
        self,
        kind: str,
        pattern: re.Pattern[str],
        needless: Callable[[Session, str, dict[str, re.Match[str]]], set[str]],
    ) -> None:
        """Through the folder of the next sweep, in order of name, that this store has."""
        sweep = self._next(kind)
        if sweep is None:
            return
        folder = f"{kind}/{sweep}"
        found = self._storage.files(folder)
        named = {f.name: m for f in found if (m := pattern.fullmatch(f.name)) is not None}
        gone: set[str] = set()
        names = sorted(named)
        with self._sessions() as session:
            for i in range(0, len(names), MOST_FILES):  # a statement takes only so many
                some = {name: named[name] for name in names[i : i + MOST_FILES]}
                gone |= needless(session, sweep, some)
        chosen = sorted(gone)[:MOST_FILES]
        self._storage.remove(f"{folder}/{name}" for name in chosen)
        if len(chosen) == len(found):
            self._storage.remove_folder(folder)
        if chosen:
            log.info("storage_cleared", folder=folder, files=len(chosen))

    def _next(self, kind: str) -> str | None:
        there = sorted(self._storage.folders(kind))
        if not there:
            return None
        with self._sessions() as session:
            mine = sorted(files.known(session, there[: 10 * MOST_FILES]))
        later = [sweep for sweep in mine if sweep > self._visited[kind]]
        chosen = next(iter(later or mine), None)
        self._visited[kind] = chosen or ""
        return chosen

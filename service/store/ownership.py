"""One service a SQLite file: a lock that the kernel releases when its owner dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from service.store.errors import StoreOwnedError


@contextlib.contextmanager
def own(database: Path) -> Iterator[None]:
    """Holds the lock beside a SQLite file.

    Raises:
        StoreOwnedError: another process holds it; the message names its process id.
    """
    path = database.with_name(database.name + ".lock")
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise StoreOwnedError(
                f"{database.name} is in use by another Seedbed service (process "
                f"{lock.read().strip() or 'unknown'}); one service at a time runs on a SQLite file",
                "stop that one, or give this one a state folder of its own "
                "(SEEDBED_STATE_FOLDER), or use PostgreSQL (SEEDBED_DATABASE_URL)",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield

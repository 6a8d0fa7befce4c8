"""Backup of a SQLite store while it is in use."""

import contextlib
import os
import sqlite3
from pathlib import Path

from sqlalchemy import Engine

from service.store.errors import BackupError


def backup(engine: Engine, target: Path) -> int:
    """Copies the store as of one moment to a new file; returns its size in bytes.

    Raises:
        BackupError: the store is not SQLite, or the target exists.
    """
    if engine.dialect.name != "sqlite" or engine.url.database is None:
        raise BackupError(
            f"the store is on {engine.dialect.name}; `seedbed backup` copies SQLite files only",
            "use the database's own tool, such as pg_dump",
        )
    if target.exists():
        raise BackupError(
            f"{target} exists; a backup never overwrites", "name a file that does not exist yet"
        )
    source = Path(engine.url.database)
    if not source.exists():
        raise BackupError(f"there is no store at {source}", "check SEEDBED_STATE_FOLDER")
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with (
        contextlib.closing(sqlite3.connect(source)) as reading,
        contextlib.closing(sqlite3.connect(partial)) as writing,
    ):
        reading.backup(writing)  # in one step: every commit would make further steps begin anew
        writing.execute("PRAGMA journal_mode=DELETE")
    partial.rename(target)
    return target.stat().st_size

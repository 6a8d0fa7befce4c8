"""What holds for a SQLite file: one owner, and backups while it is in use."""

import itertools
import stat
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from service.store import classes, lease, sweeps
from service.store.backup import backup
from service.store.engine import open_engine, reading_factory, session_factory
from service.store.errors import BackupError, StoreOwnedError
from service.store.ownership import own
from tests.service.samples import moment, plan
from tests.service.store.test_conformance import create

#: many times what a backup of the store below takes
WRITES_S = 60


def test_a_second_owner_is_refused_with_the_firsts_process_id(tmp_path: Path) -> None:
    import os  # noqa: PLC0415 - beside its only use

    database = tmp_path / "seedbed.db"
    with own(database), pytest.raises(StoreOwnedError, match=f"process {os.getpid()}.*stop that"):
        own(database).__enter__()
    with own(database):
        pass


def test_a_backup_opens_as_a_store_and_is_its_owners_alone(sqlite: Engine, tmp_path: Path) -> None:
    sweep = create(session_factory(sqlite))
    with session_factory(sqlite).begin() as writer:  # in use, in a transaction
        sweeps.create(writer, plan(), now=moment())
        target = tmp_path / "copy.db"
        assert backup(sqlite, target) == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    copy = open_engine(f"sqlite:///{target}")
    with session_factory(copy)() as session:
        assert [s.id for s in sweeps.page(session, after=None, limit=9)] == [sweep]
    copy.dispose()


def test_a_backup_of_a_store_that_is_written_without_pause_ends(
    sqlite: Engine, tmp_path: Path
) -> None:
    """A backup in several steps would begin anew at each commit, and end after the last one."""
    sessions = session_factory(sqlite)
    with sessions.begin() as session:  # 32 MB: many steps' worth
        classes.know(session, {"much": "x" * (32 * 2**20)})
    done, committed = threading.Event(), threading.Event()

    def write() -> None:
        deadline = time.monotonic() + WRITES_S
        for i in itertools.count():
            if done.is_set() or time.monotonic() > deadline:
                return
            with sessions.begin() as session:
                lease.acquire(session, "busy", "writer", 1, moment(i))
            committed.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert committed.wait(WRITES_S)
        backup(sqlite, tmp_path / "copy.db")
        assert thread.is_alive(), "it ended only once nobody wrote any more"
    finally:
        done.set()
        thread.join()


def test_a_backup_never_overwrites_and_is_for_sqlite(sqlite: Engine, tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.touch()
    with pytest.raises(BackupError, match="never overwrites"):
        backup(sqlite, target)
    other = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(BackupError, match="pg_dump"):
        backup(other, tmp_path / "new")


def test_a_reader_waits_for_no_writer(sqlite: Engine) -> None:
    sweep = create(session_factory(sqlite))
    with session_factory(sqlite).begin() as writer:
        sweeps.pause(writer, sweep)
        with reading_factory(sqlite)() as reader:
            assert sweeps.show(reader, sweep).state == "waiting"

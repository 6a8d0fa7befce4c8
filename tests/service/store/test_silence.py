"""On PostgreSQL whoever falls silent within a transaction keeps its locks only for a while."""

import threading
from collections.abc import Iterator

import pytest
from alembic.config import Config
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from service.dispatch.faults import unreachable
from service.dispatch.leadership import LEASE, now
from service.store import engine as engines
from service.store import lease
from service.store.engine import open_engine, reading_factory, session_factory

#: a SQLite file is one host's alone, and its lock dies with its process
pytestmark = pytest.mark.parametrize("bare", ["postgresql"], indirect=True)
SILENT_S = 1


@pytest.fixture
def impatient(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A second engine on the same PostgreSQL, whose writers may be silent for a second."""
    monkeypatch.setitem(engines.FENCED, "idle_in_transaction_session_timeout", f"{SILENT_S}s")
    found = open_engine(engine.url.render_as_string(hide_password=False))
    yield found
    found.dispose()


def test_a_dispatcher_frozen_within_a_turn_does_not_keep_the_lease(
    engine: Engine, impatient: Engine
) -> None:
    """Its lease has run out, but its open transaction holds the row: the server ends that."""
    frozen, standby = session_factory(impatient), session_factory(engine)
    taken = threading.Event()

    def take() -> None:
        with standby.begin() as session:
            if lease.acquire(session, LEASE, "standby", 5, lease.clock(session, now())):
                taken.set()

    thread = threading.Thread(target=take)
    with frozen() as session:
        assert lease.acquire(session, LEASE, "frozen", 0.0, lease.clock(session, now()))
        thread.start()
        assert taken.wait(SILENT_S + 20)
        with pytest.raises(DBAPIError) as raised:
            session.execute(text("SELECT 1"))  # it wakes
    assert unreachable(raised.value), "what woke must begin anew, and see whose the lease is"
    thread.join(20)


def test_a_reader_may_be_silent_for_longer(impatient: Engine) -> None:
    """A report is read at the pace of a slow client; it locks nothing."""
    with reading_factory(impatient).begin() as session:
        session.execute(text("SELECT 1"))
        slept = threading.Event()
        assert not slept.wait(SILENT_S + 0.5)  # longer than a writer may
        assert session.scalar(text("SELECT 2")) == 2


def test_a_migration_may_be_silent_for_longer(
    impatient: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reckons between statements, and nobody else runs meanwhile."""
    seen = []

    def look(configuration: Config, _revision: str) -> None:
        connection = configuration.attributes["connection"]
        seen.append(connection.scalar(text("SHOW idle_in_transaction_session_timeout")))

    monkeypatch.setattr(engines.command, "upgrade", look)
    engines.upgrade(impatient)
    with impatient.connect() as connection:
        seen.append(connection.scalar(text("SHOW idle_in_transaction_session_timeout")))
    assert seen == ["0", f"{SILENT_S}s"]

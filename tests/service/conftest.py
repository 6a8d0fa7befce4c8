"""Stores for tests: SQLite in a fresh folder and a real PostgreSQL, built by the migrations."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from service.store.engine import open_engine, session_factory, upgrade

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _subnormal(subnormal: None) -> None:
    """The service reckons with subnormal numbers."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no Redis that hangs."""
    monkeypatch.setattr("service.bus.redis.TIMEOUT_S", 30.0)
    monkeypatch.setattr("service.bus.redis.STANDS_S", 30.0)
    monkeypatch.setattr("service.bus.shared_limits.TIMEOUT_S", 30.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database without a table, of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.db'}"
    else:
        server = request.getfixturevalue("postgres")
        name = f"seedbed_{next(_numbers)}"
        admin = create_engine(server, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        url = server.replace("/postgres?", f"/{name}?")
    found = open_engine(url)
    yield found
    found.dispose()


@pytest.fixture
def engine(bare: Engine) -> Engine:
    """An empty store at the newest schema, on each database."""
    upgrade(bare)
    return bare


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """An empty SQLite store."""
    found = open_engine(f"sqlite:///{tmp_path / 'store.db'}")
    upgrade(found)
    yield found
    found.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions of the store on each database."""
    return session_factory(engine)

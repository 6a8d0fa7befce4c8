"""Opens the store: SQLite in WAL mode or PostgreSQL, brought to its schema by the migrations."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from service.store.errors import SchemaError, StoreAwayError

BUSY_S = 30.0
#: connections that stay open while nobody uses them
KEPT = 5
#: libpq's: a server that a cut network hides is given up after so long, not after hours
REACHES = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
#: the server's: a session whose process is frozen or cut off within a transaction ends, and with it
#: its locks, of the dispatcher's lease or of a sweep, which nobody else could take before
FENCED = {
    "idle_in_transaction_session_timeout": "15s",
    "tcp_keepalives_idle": "5s",
    "tcp_keepalives_interval": "2s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}


def open_engine(url: str, connections: int = 15) -> Engine:
    """An engine for sqlite:///PATH or postgresql+psycopg://...

    On SQLite every transaction takes the write lock at its start unless its engine has the option
    `reads`: a transaction that reads first and writes later could not be granted the lock then.
    A reader sees the last commit and waits for nobody. `synchronous=FULL` makes a committed
    outcome survive a power cut, at one fsync a commit, of which there is one a turn of the
    dispatcher: `NORMAL` would take back outcomes, and sweeps already answered with 201, for a gain
    that one commit a turn has made small.

    On PostgreSQL statements are planned each time, for the batch and the tables as they are. A plan
    that is kept from when a table was small goes through all of it until the next ANALYZE.

    Args:
        connections: the most that are open at once; whoever wants one more waits, and after
            30 s gets sqlalchemy.exc.TimeoutError.
    """
    pool = {"pool_size": min(connections, KEPT), "max_overflow": max(0, connections - KEPT)}
    if not url.startswith("sqlite"):
        arguments = {**REACHES, "prepare_threshold": None}
        engine = create_engine(url, pool_pre_ping=True, connect_args=arguments, **pool)
        event.listen(engine, "connect", _fence)
        event.listen(engine, "begin", _unfence)
        return engine
    waits = {"timeout": BUSY_S, "check_same_thread": False}
    engine = create_engine(url, connect_args=waits, **pool)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _fence(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        for name, value in FENCED.items():
            cursor.execute(f"SET {name} = '{value}'")
    connection.commit()


def _unfence(connection: Connection) -> None:
    """A reader holds no lock that others want, and may be silent while a slow client reads."""
    if connection.get_execution_options().get("reads", False):
        may_be_silent(connection)


def may_be_silent(connection: Connection) -> None:
    """This transaction may say nothing for as long as it likes."""
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions that write."""
    return sessionmaker(engine, expire_on_commit=False)


def reading_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions that only read, never take a write lock, and see the store at one moment."""
    return sessionmaker(reading_engine(engine), expire_on_commit=False)


def reading_engine(engine: Engine) -> Engine:
    """The same pool of connections, for transactions that only read.

    All statements of one see the store as it was at the first: on SQLite because of WAL, on
    PostgreSQL because of REPEATABLE READ, where each would see its own moment otherwise.
    """
    if engine.dialect.name == "postgresql":
        return engine.execution_options(
            reads=True, isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    return engine.execution_options(reads=True)


def upgrade(engine: Engine) -> None:
    """Brings the schema to the newest version; safe to call at every start."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # a migration may reckon between statements
            may_be_silent(connection)
        command.upgrade(migrations(connection), "head")


def check_schema(engine: Engine) -> None:
    """That the schema is the one of this program, for processes that must not change it.

    Raises:
        SchemaError: it is older or newer.
        StoreAwayError: the store cannot be reached.
    """
    try:
        with engine.connect() as connection:
            newest = ScriptDirectory.from_config(migrations(connection)).get_current_head()
            found = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise StoreAwayError(str(error.orig).strip()) from error
    if found != newest:
        raise SchemaError(found, newest)


def migrations(connection: Connection) -> Config:
    """Alembic's configuration for a connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config

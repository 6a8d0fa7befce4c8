"""The whole service in one process: API, dispatcher, store and a local Ray, on loopback."""

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from service.api.app import Health, create_app
from service.configuration import Configuration
from service.dispatch.loop import LEASE, Dispatcher, Rules, await_lease
from service.store import lease
from service.store.engine import open_engine, reading_factory, session_factory, upgrade
from service.store.ownership import own
from workers.pool import Pool

log = structlog.get_logger()

#: the dispatcher is alive if it ticked this recently
ALIVE_S = 60.0


class PortTakenError(Exception):
    """The port is in use."""


@dataclass
class Service:
    """The parts of a running service."""

    engine: Engine
    dispatcher: Dispatcher
    server: uvicorn.Server
    thread: threading.Thread


def serve(configuration: Configuration) -> None:
    """Runs until SIGINT or SIGTERM; then hands running trials back and stops its own Ray.

    Raises:
        StoreOwnedError: another service runs on the same SQLite file.
        PortTakenError: the port is in use.
    """
    logs()
    stop = threading.Event()
    listener = bind(configuration.host, configuration.port)
    prepare_folder(configuration.state_folder)
    with ownership(configuration.database_url), handlers(stop):
        engine = open_engine(configuration.database_url)
        upgrade(engine)
        sessions = session_factory(engine)
        if engine.dialect.name == "sqlite":  # its lock proves that no other dispatcher lives
            with sessions.begin() as session:
                lease.clear(session, LEASE)
        pool = Pool(configuration.workers)
        rules = Rules(configuration.pack_lanes, configuration.slice_s, configuration.max_attempts)
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        dispatcher = Dispatcher(sessions, pool, rules, holder)
        app = create_app(
            writing=sessions,
            reading=reading_factory(engine),
            configuration=configuration,
            wake=dispatcher.wake,
            health=lambda: health(engine, dispatcher),
        )
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, server_header=False))
        thread = threading.Thread(target=server.run, args=([listener],), name="api")
        thread.start()
        port = listener.getsockname()[1]
        say(f"Seedbed listens on http://{configuration.host}:{port} (dashboard, /docs, /api/v1)")
        try:
            if await_lease(sessions, holder, stop, say):
                dispatcher.take_over()
                pool.start()
                say(f"{configuration.workers} workers start; Ctrl-C stops, nothing is lost")
                with handlers(stop):  # again: Ray has put its own in place
                    dispatcher.run(stop)
        finally:
            server.should_exit = True
            thread.join()
            pool.stop()
            engine.dispose()
            say("stopped; the next serve goes on where this one stood")


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    It says that it is TCP: asyncio sends the parts of a reply at once (TCP_NODELAY) only on sockets
    that do, and a kept connection's replies would otherwise wait 40 ms for the client's delayed
    acknowledgement.

    Raises:
        PortTakenError: something else listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTakenError(
            f"port {port} on {host} is in use ({error.strerror}); a service needs a port of its "
            "own; stop what listens there, or choose another with --port (0 takes a free one)"
        ) from error
    listener.listen(128)
    return listener


def prepare_folder(folder: Path) -> None:
    """Makes the state folder, for its owner only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def ownership(database_url: str) -> contextlib.AbstractContextManager[object]:
    """Holds the lock of a SQLite file; for PostgreSQL the dispatcher's lease is enough."""
    prefix = "sqlite:///"
    if not database_url.startswith(prefix):
        return contextlib.nullcontext()
    return own(Path(database_url.removeprefix(prefix)))


@contextlib.contextmanager
def handlers(stop: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM ask for a clean stop; a second one is answered the usual way."""

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def health(engine: Engine, dispatcher: Dispatcher) -> Health:
    """What /readyz says."""
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        store = True
    except SQLAlchemyError:
        store = False
    alive = time.monotonic() - dispatcher.last_tick < ALIVE_S
    return Health(store=store, dispatcher=alive, workers=dispatcher.ready_workers)


def logs() -> None:
    """One line an event; tracebacks are plain, without the values of variables."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def say(line: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

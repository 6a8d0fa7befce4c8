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
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from service.api.app import Health, create_app
from service.configuration import Configuration
from service.dispatch.loop import LEASE, Dispatcher, LeaseLostError, Rules, await_lease
from service.folder import prepare, store_file
from service.gpus import seen_by_ray, workers_on
from service.store import lease
from service.store.engine import (
    open_engine,
    reading_engine,
    reading_factory,
    session_factory,
    upgrade,
)
from service.store.ownership import own
from workers.pool import Pool

log = structlog.get_logger()

#: the dispatcher is alive if it ticked this recently
ALIVE_S = 60.0
#: the API serves at most so many requests at once, each with one connection
API_CONNECTIONS = 40
#: clients that stall at the end are cut off after so long
GRACE_S = 5
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class PortTakenError(Exception):
    """The port is in use."""


def serve(configuration: Configuration) -> None:
    """Runs until SIGINT or SIGTERM; then hands running trials back and stops its own Ray.

    A second signal cuts the end short, but for Ray: its processes never outlive the service.

    Raises:
        StoreOwnedError: another service runs on the same SQLite file.
        OpenFolderError: the state folder is open to others.
        PortTakenError: the port is in use.
        TooFewGpusError: there is no GPU for each worker.
    """
    logs()
    stop = threading.Event()
    listener = bind(configuration.host, configuration.port)
    prepare(configuration)
    with (
        ownership(configuration.database_url),
        handlers(stop),
        contextlib.ExitStack() as ending,  # in reverse, each whatever becomes of the others
    ):
        ending.callback(say, "stopped; the next serve goes on where this one stood")
        engine = open_engine(configuration.database_url, API_CONNECTIONS)
        ending.callback(engine.dispose)
        upgrade(engine)
        apart = open_engine(configuration.database_url)  # requests must not starve dispatching
        ending.callback(apart.dispose)
        sessions = session_factory(apart)
        if apart.dialect.name == "sqlite":  # its lock proves that no other dispatcher lives
            with sessions.begin() as session:
                lease.clear(session, LEASE)
        pool = pool_of(configuration)
        ending.callback(pool.stop)
        rules = Rules(
            configuration.pack_lanes,
            configuration.slice_s,
            configuration.max_attempts,
            configuration.patience_s,
        )
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        dispatcher = Dispatcher(sessions, pool, rules, holder)
        app = create_app(
            writing=session_factory(engine),
            reading=reading_factory(engine),
            configuration=configuration,
            wake=dispatcher.wake,
            health=lambda: health(apart, dispatcher),
            running_share=lambda sweep: dispatcher.telemetry(sweep).share,
            lacking=dispatcher.lacking,
            classes=dispatcher.classes,
        )
        ending.enter_context(listening(app, listener))
        url = url_of(configuration.host, listener.getsockname()[1])
        say(f"Seedbed listens on {url} (dashboard, /docs, /api/v1)")
        pool.start()
        if configuration.device == "cuda":
            pool.size = workers_on(seen_by_ray(), configuration.asked_workers)
        say(f"{pool.size} workers start on {configuration.device}; Ctrl-C stops, nothing is lost")
        catch(stop)  # again: Ray has put its own in place
        lead(dispatcher, sessions, holder, stop)


def lead(
    dispatcher: Dispatcher,
    sessions: sessionmaker[Session],
    holder: str,
    stop: threading.Event,
) -> None:
    """Dispatches while this process has the lease, and waits for it otherwise."""
    while await_lease(sessions, holder, stop, say):
        try:
            dispatcher.run(stop)
        except LeaseLostError as error:
            log.warning("lease_lost", error=str(error))


@contextlib.contextmanager
def listening(app: FastAPI, listener: socket.socket) -> Iterator[None]:
    """Serves the API in a thread of its own; at the end clients that stall are cut off."""
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, server_header=False, timeout_graceful_shutdown=GRACE_S)
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="api")
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        try:
            while thread.is_alive():
                thread.join(0.5)  # in pieces, so that a signal taken by another thread is seen
        except KeyboardInterrupt:
            server.force_exit = True
            raise


def pool_of(configuration: Configuration) -> Pool:
    """The workers; each sees one GPU, its own, as cuda:0."""
    device = "cuda:0" if configuration.device == "cuda" else "cpu"
    return Pool(configuration.workers, device)


def url_of(host: str, port: int) -> str:
    """Where to look: an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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


def ownership(database_url: str) -> contextlib.AbstractContextManager[object]:
    """Holds the lock of a SQLite file; for PostgreSQL the dispatcher's lease is enough."""
    file = store_file(database_url)
    return contextlib.nullcontext() if file is None else own(file)


@contextlib.contextmanager
def handlers(stop: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM ask for a clean stop, see `catch`, until the block ends."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    catch(stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def catch(stop: threading.Event) -> None:
    """The first SIGINT or SIGTERM asks for a clean stop; each one more is a KeyboardInterrupt."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in SIGNALS:
        signal.signal(number, ask)


def health(engine: Engine, dispatcher: Dispatcher) -> Health:
    """What /readyz says; it waits for no writer."""
    try:
        with reading_engine(engine).connect() as connection:
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

"""The whole service in one process: API, dispatcher, store and a local Ray, on loopback."""

import contextlib
import threading
from datetime import UTC, datetime

from service.access.opening import judge_opening
from service.bus.choice import bus_of, waking
from service.configuration import Configuration
from service.dispatch.janitor import Janitor
from service.dispatch.loop import LEASE
from service.folder import prepare
from service.observe.exposition import new_registry
from service.processes.api import app_of
from service.processes.binding import bind, listening, url_of
from service.processes.dispatcher import (
    clearing,
    dispatcher_of,
    holder,
    lead,
    pool_of,
    start,
    storage_of,
)
from service.processes.logs import logs, say
from service.processes.signals import catch, handlers
from service.processes.store import API_CONNECTIONS, ownership
from service.store import lease
from service.store.engine import open_engine, reading_factory, session_factory, upgrade


class OneMachineError(Exception):
    """The service in one process was given a Ray cluster."""


def serve(configuration: Configuration) -> None:
    """Runs until SIGINT or SIGTERM; then hands running trials back and stops its own Ray.

    A second signal cuts the end short, but for Ray: its processes never outlive the service.

    Raises:
        StoreOwnedError: another service runs on the same SQLite file.
        OpenFolderError: the state folder is open to others.
        PortTakenError: the port is in use.
        NoAdminError: others could reach the service, and nobody could administer it.
        TooFewGpusError: there is no GPU for each worker.
        StorageError: storage cannot be opened.
        OneMachineError: it was given a Ray cluster.
    """
    logs(configuration)
    if configuration.ray_address is not None:
        raise OneMachineError(
            "SEEDBED_RAY_ADDRESS is set, but `seedbed serve` trains on its own machine alone; a "
            "cluster is for `seedbed dispatcher` beside `seedbed api`; unset it, or start those"
        )
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
        judge_opening(configuration, reading_factory(engine), datetime.now(UTC))
        apart = open_engine(configuration.database_url)  # requests must not starve it
        ending.callback(apart.dispose)
        sessions = session_factory(apart)
        if apart.dialect.name == "sqlite":  # its lock proves that no other dispatcher lives
            with sessions.begin() as session:
                lease.clear(session, LEASE)
        pool = pool_of(configuration)
        ending.callback(pool.stop)
        name = holder()
        janitor = Janitor(sessions, storage_of(configuration))
        registry = new_registry()
        bus = bus_of(configuration)
        ending.callback(bus.close)
        dispatcher = dispatcher_of(configuration, sessions, pool, name, janitor, registry, bus)
        ending.enter_context(waking(bus, dispatcher.wake))
        app = app_of(configuration, engine, apart, bus, registry)
        ending.enter_context(clearing(janitor))
        ending.enter_context(listening(app, listener))
        url = url_of(configuration.host, listener.getsockname()[1])
        say(f"Seedbed listens on {url} (dashboard, /docs, /api/v1)")
        start(pool, configuration)
        say(f"{pool.size} workers start on {configuration.device}; Ctrl-C stops, nothing is lost")
        catch(stop)  # again: Ray has put its own in place
        lead(dispatcher, sessions, name, stop)

"""The API's process: stateless, one of any number, without Ray and without a dispatcher."""

import contextlib
import threading
from datetime import UTC, datetime
from functools import partial

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from service.access.opening import judge_opening
from service.api.app import create_app
from service.api.heard import Heard
from service.bus import WAKE, Bus
from service.bus.choice import bus_of
from service.configuration import Configuration
from service.processes.binding import bind, listening, url_of
from service.processes.logs import logs, say
from service.processes.signals import handlers
from service.processes.store import API_CONNECTIONS, require_shared
from service.store.engine import check_schema, open_engine, reading_factory, session_factory


def serve_api(configuration: Configuration) -> None:
    """Answers requests until SIGINT or SIGTERM.

    Raises:
        StoreNotSharedError: the store is a SQLite file.
        SchemaError, StoreAwayError: the store is not ready for it.
        PortTakenError: the port is in use.
        NoAdminError: others could reach the service, and nobody could administer it.
    """
    logs(configuration)
    require_shared(configuration, "api")
    stop = threading.Event()
    with (
        handlers(stop),
        contextlib.ExitStack() as ending,  # in reverse, each whatever becomes of the others
    ):
        listener = ending.enter_context(
            contextlib.closing(bind(configuration.host, configuration.port))
        )
        engine = open_engine(configuration.database_url, API_CONNECTIONS)
        ending.callback(engine.dispose)
        check_schema(engine)
        judge_opening(configuration, reading_factory(engine), datetime.now(UTC))
        apart = open_engine(configuration.database_url, 1)  # while requests hold all the others
        ending.callback(apart.dispose)
        bus = bus_of(configuration)
        ending.callback(bus.close)
        app = app_of(configuration, engine, apart, bus)
        thread = ending.enter_context(listening(app, listener))
        url = url_of(configuration.host, listener.getsockname()[1])
        say(f"Seedbed's API listens on {url} (dashboard, /docs, /api/v1); Ctrl-C stops it")
        while thread.is_alive() and not stop.wait(0.5):
            pass


def app_of(
    configuration: Configuration,
    engine: Engine,
    apart: Engine,
    bus: Bus,
    registry: CollectorRegistry | None = None,
) -> FastAPI:
    """The application; what it knows of the dispatcher stands in the store.

    Args:
        engine: for requests.
        apart: for what is asked of the dispatcher while requests hold all connections.
        registry: what /metrics shows beside its own.
    """
    heard = Heard(reading_factory(apart))
    return create_app(
        writing=session_factory(engine),
        reading=reading_factory(engine),
        configuration=configuration,
        wake=partial(bus.publish, WAKE, {}),
        health=heard.health,
        running_share=heard.running_share,
        lacking=heard.lacking,
        classes=heard.classes,
        registry=registry,
        bus=bus,
    )

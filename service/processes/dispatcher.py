"""The dispatcher's process: it prepares its workers' Ray, waits for the lease, and dispatches."""

import contextlib
import hashlib
import os
import secrets
import shlex
import socket
import threading
from collections.abc import Callable, Iterator

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import make_url
from sqlalchemy.orm import Session, sessionmaker

from service.bus import Bus
from service.bus.choice import bus_of, waking
from service.configuration import Configuration
from service.dispatch.janitor import Janitor
from service.dispatch.loop import Dispatcher, LeaseLostError, Rules, await_lease
from service.dispatch.telling import Teller
from service.dispatch.watch import Watches
from service.gpus import seen_by_ray, workers_on
from service.observe.dispatching import DispatchMetrics
from service.observe.exposition import new_registry
from service.observe.traces import DispatchSpans, tracer
from service.processes.logs import adopt, logs, say
from service.processes.metrics import own_metrics
from service.processes.pulse import Pulse
from service.processes.signals import catch, handlers
from service.processes.store import require_shared
from service.store.engine import check_schema, open_engine, session_factory
from workers.cluster import ClusterRay
from workers.messages import StorageRule
from workers.pool import Pool
from workers.storage import Storage

log = structlog.get_logger()


def dispatch(configuration: Configuration) -> None:
    """Runs until SIGINT or SIGTERM, as the active dispatcher or as a standby.

    Ray is up before the lease is waited for, so that a standby goes on soon after the other's end.

    Raises:
        StoreNotSharedError: the store is a SQLite file.
        SchemaError, StoreAwayError: the store is not ready for it.
        TooFewGpusError: there is no GPU for each worker.
        StorageError: storage cannot be opened.
        ClusterAwayError: its Ray cluster cannot be joined.
        ClusterLostError: its Ray cluster is gone; nothing that was recorded is lost.
    """
    logs(configuration)
    require_shared(configuration, "dispatcher")
    stop = threading.Event()
    pulse = Pulse(configuration)
    with (
        handlers(stop),
        contextlib.ExitStack() as ending,  # in reverse, each whatever becomes of the others
    ):
        ending.callback(say, "stopped; another dispatcher goes on where this one stood")
        ending.callback(pulse.end)
        engine = open_engine(configuration.database_url)
        ending.callback(engine.dispose)
        check_schema(engine)
        sessions = session_factory(engine)
        janitor = Janitor(sessions, storage_of(configuration))
        pool = pool_of(configuration)
        ending.callback(pool.stop)
        start(pool, configuration)
        catch(stop)  # again: Ray has put its own in place
        name = holder()
        registry = new_registry()
        ending.enter_context(own_metrics(configuration, registry))
        ending.enter_context(clearing(janitor))
        bus = bus_of(configuration)
        ending.callback(bus.close)
        dispatcher = dispatcher_of(configuration, sessions, pool, name, janitor, registry, bus)
        ending.enter_context(waking(bus, dispatcher.wake))
        say(f"dispatcher {name} is ready; Ctrl-C stops it, nothing is lost")
        lead(dispatcher, sessions, name, stop, pulse.beat, pool.clear_others)


def dispatcher_of(
    configuration: Configuration,
    sessions: sessionmaker[Session],
    pool: Pool,
    name: str,
    janitor: Janitor,
    registry: CollectorRegistry,
    bus: Bus,
) -> Dispatcher:
    """The dispatcher, with those who watch it and hear of it."""
    watch = Watches(DispatchMetrics(registry), DispatchSpans(tracer()))
    rules = rules_of(configuration)
    return Dispatcher(sessions, pool, rules, name, janitor.discard, watch, Teller(bus).tell)


def lead(
    dispatcher: Dispatcher,
    sessions: sessionmaker[Session],
    holder: str,
    stop: threading.Event,
    beat: Callable[[str], None] = lambda _: None,
    clear_others: Callable[[], int] = lambda: 0,
) -> None:
    """Dispatches while this process has the lease, and waits for it otherwise.

    Args:
        clear_others: ends workers that an earlier dispatcher still has, and says how many.
    """
    while await_lease(sessions, holder, stop, say, lambda: beat("waiting")):
        log.info("lease_taken", holder=holder, workers_of_others=clear_others())
        try:
            dispatcher.run(stop, beat=lambda: beat("active"))
        except LeaseLostError as error:
            log.warning("lease_lost", error=str(error))


def storage_of(configuration: Configuration) -> Storage:
    """Where checkpoints and weights go; its folder is made, if it is one.

    Raises:
        StorageError: it cannot be opened.
    """
    found = Storage(configuration.storage_url)
    found.prepare()
    return found


@contextlib.contextmanager
def clearing(janitor: Janitor) -> Iterator[None]:
    """Clears storage in a thread that keeps nothing waiting at the end."""
    stop = threading.Event()
    threading.Thread(target=janitor.run, args=(stop,), name="janitor", daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def start(pool: Pool, configuration: Configuration) -> None:
    """Starts the pool's Ray, and counts this machine's GPUs; those of a cluster come and go.

    Raises:
        TooFewGpusError: there is no GPU for each worker.
        ClusterAwayError: its Ray cluster cannot be joined.
    """
    pool.start()
    adopt()  # Ray has put its own handlers in place
    if configuration.device == "cuda" and configuration.ray_address is None:
        pool.size = workers_on(
            seen_by_ray(), configuration.asked_workers, configuration.workers_per_gpu
        )


def pool_of(configuration: Configuration) -> Pool:
    """The workers; each sees one GPU, its own or its part of it, as cuda:0."""
    device = "cuda:0" if configuration.device == "cuda" else "cpu"
    if configuration.ray_address is None:
        return Pool(configuration.workers, device, per_gpu=configuration.workers_per_gpu)
    words = shlex.split(configuration.ray_node)
    cluster = ClusterRay(configuration.ray_address, words, namespace_of(configuration.database_url))
    each = configuration.workers_per_gpu
    return Pool(configuration.workers, device, host=cluster, per_gpu=each)


def namespace_of(database_url: str) -> str:
    """One for each store: host, port and name; several Seedbeds may share a cluster."""
    url = make_url(database_url)
    where = f"{url.host}:{url.port}/{url.database}?{sorted(url.query.items())}"
    return f"seedbed-{hashlib.sha256(where.encode()).hexdigest()[:16]}"


def rules_of(configuration: Configuration) -> Rules:
    """The options that steer dispatching."""
    return Rules(
        configuration.pack_lanes,
        configuration.slice_s,
        configuration.max_attempts,
        configuration.patience_s,
        configuration.user_trials,
        StorageRule(configuration.storage_url, configuration.checkpoint_s),
        configuration.drain_s,
        configuration.least,
        configuration.idle_s,
    )


def holder() -> str:
    """A name for the lease that no other process has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

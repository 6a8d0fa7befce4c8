"""How the store, the dispatcher and this process's connections stand, asked when one scrapes."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import QueuePool
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from service.bus.link import Link
from service.store.figures import Figures, figures

#: figures that were read are good for so long, however many scrape
FRESH_S = 5.0


class StoreStanding(Collector):
    """Gauges of the store; without those of its content while it cannot be reached.

    Args:
        reading: sessions that only read.
        dispatcher: whether one is active.
    """

    def __init__(self, reading: sessionmaker[Session], dispatcher: Callable[[], bool]) -> None:
        self._reading = reading
        self._dispatcher = dispatcher
        self._lock = threading.Lock()
        self._read: Figures | None = None
        self._read_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of the store when the collector is registered."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The gauges."""
        found = self._figures()
        yield _one("store_up", "Whether the store answered.", float(found is not None))
        up = found is not None and self._dispatcher()
        yield _one("dispatcher_up", "Whether any dispatcher holds the lease.", float(up))
        yield from self._connections()
        if found is not None:
            yield from _content(found, datetime.now(UTC))

    def _figures(self) -> Figures | None:
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_S:
                try:
                    with self._reading() as session:
                        self._read = figures(session)
                except SQLAlchemyError:
                    self._read = None
                self._read_at = time.monotonic()
            return self._read

    def _connections(self) -> Iterable[Metric]:
        pool = self._reading.kw["bind"].pool
        if isinstance(pool, QueuePool):  # the only one that counts
            most = pool.size() + pool._max_overflow  # noqa: SLF001 - it has no other name
            used = pool.checkedout()
            yield _one("store_connections_used", "Connections that requests hold.", used)
            yield _one("store_connections_most", "Connections that requests may hold.", most)


class BusStanding(Collector):
    """Gauges of the bus between processes, and of the streams of events in this one.

    Args:
        link: the way to Redis; None of a bus in memory, which is always up.
        streams: how many streams of events are open, and how many may be.
    """

    def __init__(self, link: Link | None, streams: Callable[[], tuple[int, int]]) -> None:
        self._link = link
        self._streams = streams

    def collect(self) -> Iterable[Metric]:
        """The gauges."""
        up = self._link is None or self._link.up
        yield _one("bus_up", "Whether the bus works; in memory it always does.", float(up))
        lost = 0 if self._link is None else self._link.losses
        yield CounterMetricFamily("seedbed_bus_losses", "How often Redis was lost.", lost)
        used, most = self._streams()
        yield _one("event_streams_open", "Streams of events that are open.", used)
        yield _one("event_streams_most", "Streams of events that may be open.", most)


def _content(found: Figures, now: datetime) -> Iterable[Metric]:
    yield _by_state("sweeps", "Sweeps by state.", found.sweeps)
    yield _by_state("trials", "Trials of all sweeps by state.", found.trials)
    yield _one("claimable_trials", "Trials that may be claimed now.", found.claimable)
    oldest = found.oldest_waiting_at
    age = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    what = "Since when the oldest sweep waits of which nothing ran yet; 0 where none does."
    yield _one("queue_age_seconds", what, age)


def _one(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"seedbed_{name}", what, value)


def _by_state(name: str, what: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(f"seedbed_{name}", what, labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], count)
    return family

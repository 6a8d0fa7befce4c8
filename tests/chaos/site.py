"""A whole Seedbed to shoot at: its parts by role, and what can be seen of them from outside."""

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.exc import DBAPIError

from service.client import Client, ServiceError, ServiceUnreachableError
from service.dispatch.loop import LEASE
from service.local import free_port
from service.store.engine import open_engine, upgrade
from service.store.tables import leases, outcomes
from tests.chaos import network
from tests.chaos.cluster import Node, environment, head, new_token
from tests.chaos.parts import (
    START_S,
    Part,
    end,
    marked,
    postgres,
    postgres_url,
    redis,
    service,
    tree,
    until,
)
from tests.chaos.wrong_clock import CLOCK

P = TypeVar("P", bound=Part)
WRONG_CLOCK = "tests.chaos.wrong_clock"
#: the process title of a worker's actor, as Ray has it
ACTOR = "ray::Worker"
#: a worker is taken for hung after so long; a first call has three times as much
PATIENCE_S = 20.0


@dataclass
class Site:
    """The parts.

    Attributes:
        apis, dispatchers: of one command they are the same parts.
        nodes: Ray nodes of their own; none where each dispatcher has a Ray of its own.
        storage: where checkpoints go, a small disk of its own; None where none can be made.
        urls: where the API replicas answer.
        restarts: how often a part ended by itself and was started again.
    """

    folder: Path
    engine: Engine
    postgres: Part
    apis: list[Part] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    dispatchers: list[Part] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    head: Part | None = None
    redis: Part | None = None
    storage: Path | None = None
    restarts: Counter[str] = field(default_factory=Counter)

    def parts(self) -> list[Part]:
        """Every part, those that need others first."""
        services = (*self.dispatchers, *self.apis, *self.nodes)
        found = [*services, self.head, self.redis, self.postgres]
        return list(dict.fromkeys(part for part in found if part is not None))

    def recorded(self) -> int | None:
        """How many outcomes are recorded; None while the store is away."""
        try:
            with self.engine.connect() as connection:
                return connection.scalar(select(func.count()).select_from(outcomes)) or 0
        except DBAPIError:
            return None

    def holder(self) -> str | None:
        """Who has the dispatcher's lease; None if nobody, or while the store is away."""
        try:
            with self.engine.connect() as connection:
                query = select(leases.c.holder).where(
                    leases.c.name == LEASE, leases.c.expires_at > func.now()
                )
                return connection.scalar(query)
        except DBAPIError:
            return None

    def active(self) -> Part | None:
        """The dispatcher that has the lease."""
        holder = self.holder()
        pid = None if holder is None else int(holder.split(":")[1])
        return next((d for d in self.dispatchers if d.alive and d.pid == pid), None)

    def standbys(self) -> list[Part]:
        """Dispatchers that live and have no lease."""
        active = self.active()
        return [d for d in self.dispatchers if d.alive and d is not active]

    def workers(self) -> list[psutil.Process]:
        """The processes of the active dispatcher's actors, in order of their ids."""
        active = self.active()
        hosts: Sequence[Part] = self.nodes or ([] if active is None else [active])
        found = []
        for process in (p for host in hosts if host.alive for p in tree(host.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.cmdline()[:1] and process.cmdline()[0].startswith(ACTOR):
                    found.append(process)
        return sorted(found, key=lambda p: p.pid)

    def logged(self, event: str) -> int:
        """How often the dispatchers' logs have an event."""
        logs = (d.log.read_text(errors="replace") for d in self.dispatchers if d.log.exists())
        return sum(log.count(event) for log in logs)

    def clients(self) -> list[Client]:
        """A client of each replica."""
        return [Client(url, timeout_s=20.0) for url in self.urls]

    def tails(self) -> str:
        """The ends of every log."""
        return "\n".join(f"--- {part.name}\n{part.tail()}" for part in self.parts())


def ready(url: str) -> bool:
    """Whether a replica answers and workers are up."""
    with Client(url, timeout_s=5.0) as client:
        try:
            return client.ready()
        except (ServiceUnreachableError, ServiceError):
            return False


@contextlib.contextmanager
def site_of(folder: Path, *, lanes: int = 8) -> Iterator[Site]:
    """A Ray head, 2 nodes, 2 dispatchers, 2 API replicas, PostgreSQL and Redis."""
    port, redis_port, token = free_port(), free_port(), new_token()
    database, cache = postgres(port, folder), redis(redis_port, folder)
    ray, address = head(folder, token)
    site = Site(folder, open_engine(postgres_url(port)), database, head=ray, redis=cache)
    shared = {
        **environment(token),
        "SEEDBED_DATABASE_URL": postgres_url(port),
        "SEEDBED_REDIS_URL": f"redis://127.0.0.1:{redis_port}",
        "SEEDBED_STORAGE_URL": str(small_disk(site)),
    }
    dispatching = {
        "SEEDBED_RAY_ADDRESS": address,
        "SEEDBED_WORKERS": "2",
        "SEEDBED_LEAST_WORKERS": "2",
        "SEEDBED_PACK_LANES": str(lanes),
        "SEEDBED_SLICE_S": "0.2",
        "SEEDBED_CHECKPOINT_S": "1",
        "SEEDBED_PATIENCE_S": str(PATIENCE_S),
    }
    with ending(site):
        for part in (database, cache, ray):
            part.start()
        await_store(site)
        upgrade(site.engine)
        until(lambda: listens(address), START_S, ray.tail)
        for number in range(2):
            own = {"SEEDBED_STATE_FOLDER": str(folder / f"dispatcher-{number}")}
            site.nodes.append(Node(number, address, environment(token), folder))
            mine = shared | dispatching | own | {CLOCK: str(folder / f"clock-{number}")}
            part = service(f"dispatcher-{number}", ["dispatcher"], mine, folder, WRONG_CLOCK)
            clock_of(part).write_text("0")
            site.dispatchers.append(part)
            own = {"SEEDBED_STATE_FOLDER": str(folder / f"api-{number}")}
            listening = free_port()
            words = ["api", "--port", str(listening)]
            site.apis.append(service(f"api-{number}", words, shared | own, folder))
            site.urls.append(f"http://127.0.0.1:{listening}")
        for part in (*site.nodes, *site.dispatchers, *site.apis):
            part.start()
        until(lambda: all(ready(url) for url in site.urls), START_S, site.tails)
        yield site


def small_disk(site: Site) -> Path:
    """Where checkpoints go: a small file system of its own where that can be mounted."""
    place = site.folder / "storage"
    place.mkdir()
    if network.inside():
        network.run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place))
        site.storage = place
    return place


def listens(address: str) -> bool:
    """Whether something answers there."""
    host, _, port = address.partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1.0):
        return True
    return False


def await_store(site: Site) -> None:
    """Waits until PostgreSQL answers."""
    probe = create_engine(site.engine.url)

    def answers() -> bool:
        try:
            with probe.connect():
                return True
        except DBAPIError:
            return False

    until(answers, START_S, site.postgres.tail)
    probe.dispose()


@contextlib.contextmanager
def ending(site: Site) -> Iterator[None]:
    """Ends every part and all that it started by their ids, whatever happens."""
    try:
        yield
    finally:
        for part in site.parts():
            if part.process is not None:
                end(tree(part.pid))
        end(marked(site.folder))
        if site.storage is not None:
            network.run("umount", "--lazy", str(site.storage))
        site.engine.dispose()


def pick(which: int, among: Sequence[P]) -> P | None:
    """One of several, or None of none."""
    return among[which % len(among)] if among else None


def clock_of(dispatcher: Part) -> Path:
    """The file that says by how many hours a dispatcher's clock is wrong."""
    return Path(dispatcher.environment[CLOCK])

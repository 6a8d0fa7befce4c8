"""A whole Seedbed to shoot at: its parts by role, and what can be seen of them from outside."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.exc import DBAPIError

from service.client import Client, ServiceError, ServiceUnreachableError
from service.dispatch.loop import LEASE
from service.local import free_port
from service.store.engine import open_engine, upgrade
from service.store.tables import leases, outcomes
from tests.chaos.parts import (
    START_S,
    Part,
    end,
    marked,
    postgres,
    postgres_url,
    service,
    tree,
    until,
)

#: the process title of a worker's actor, as Ray has it
ACTOR = "ray::Worker"
#: a worker is taken for hung after so long; a first call has three times as much
PATIENCE_S = 15.0


@dataclass
class Site:
    """The parts.

    Attributes:
        apis, dispatchers: of one command they are the same parts.
        nodes: Ray nodes of their own; none where each dispatcher has a Ray of its own.
        urls: where the API replicas answer.
        restarts: how often a part ended by itself and was started again.
    """

    folder: Path
    engine: Engine
    postgres: Part
    apis: list[Part] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    dispatchers: list[Part] = field(default_factory=list)
    nodes: list[Part] = field(default_factory=list)
    redis: Part | None = None
    restarts: Counter[str] = field(default_factory=Counter)

    def parts(self) -> list[Part]:
        """Every part, those that need others first."""
        found = [*self.dispatchers, *self.apis, *self.nodes, self.redis, self.postgres]
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
        hosts = self.nodes or ([] if active is None else [active])
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
def site_of_two_services(folder: Path, *, lanes: int = 8) -> Iterator[Site]:
    """Two `seedbed serve` on one PostgreSQL: one dispatches on a Ray of its own, one waits."""
    port = free_port()
    database = postgres(port, folder)
    engine = open_engine(postgres_url(port))
    site = Site(folder, engine, database)
    with ending(site):
        database.start()
        await_store(site)
        upgrade(engine)
        for number in range(2):
            listens = free_port()
            environment = os.environ | {
                "SEEDBED_DATABASE_URL": postgres_url(port),
                "SEEDBED_STATE_FOLDER": str(folder / f"state-{number}"),
                "SEEDBED_WORKERS": "2",
                "SEEDBED_PACK_LANES": str(lanes),
                "SEEDBED_SLICE_S": "0.2",
                "SEEDBED_PATIENCE_S": str(PATIENCE_S),
            }
            words = ["serve", "--port", str(listens)]
            part = service(f"service-{number}", words, environment, folder)
            site.apis.append(part)
            site.dispatchers.append(part)
            site.urls.append(f"http://127.0.0.1:{listens}")
            part.start()
        until(lambda: any(ready(url) for url in site.urls), START_S, site.tails)
        yield site


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
        site.engine.dispose()


def pick(which: int, among: Sequence[Part]) -> Part | None:
    """One of several, or None of none."""
    return among[which % len(among)] if among else None

"""The dispatcher's edge: store on one side, workers on the other, one transaction a message."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from models.catalog import experiments
from service.dispatch.decide import Slot, Take, Waiting, stranded, takes
from service.store import claims, completion, lease, sweeps
from workers.messages import Assignment, Order, PackSpec, Return, WorkerDescription
from workers.pool import Reply

log = structlog.get_logger()

LEASE = "dispatcher"
LEASE_TTL_S = 15.0


class Workers(Protocol):
    """What the loop needs of `workers.pool.Pool`."""

    size: int

    def spawn(self) -> str:
        """Starts a worker; its description comes from `wait`."""
        ...

    def send(self, worker: str, order: Order) -> None:
        """Starts a call."""
        ...

    def wait(self, timeout_s: float) -> list[Reply]:
        """Answers that have come."""
        ...

    def discard(self, worker: str) -> None:
        """Ends a worker."""
        ...


@dataclass(frozen=True)
class Rules:
    """The service's options that steer dispatching."""

    lanes: int
    slice_s: float
    max_attempts: int


@dataclass
class Peer:
    """A worker as the loop knows it."""

    description: WorkerDescription | None = None
    pack: PackSpec | None = None
    held: set[tuple[int, int]] = field(default_factory=set)
    busy: bool = True
    #: experiment name -> numerics of what this worker would train
    numerics: dict[str, dict[str, str]] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)


class LeaseLostError(Exception):
    """Another dispatcher took over; this one must not write any more."""


class Dispatcher:
    """Claims trials for workers and records what they return.

    Whatever stands in memory here can be lost: `take_over` hands every running trial back to the
    queue, and a late write of an earlier attempt is refused by the store.

    Args:
        sessions: opens store sessions; the loop commits once a message.
        workers: the pool.
        rules: lanes, slice and attempts.
        holder: this dispatcher's name in the lease.
    """

    def __init__(
        self, sessions: sessionmaker[Session], workers: Workers, rules: Rules, holder: str
    ) -> None:
        self._sessions = sessions
        self._workers = workers
        self._rules = rules
        self._holder = holder
        self._peers: dict[str, Peer] = {}
        self._replies: deque[Reply] = deque()
        self._wake = threading.Event()
        self._stillborn = 0
        self._spawn_at = 0.0
        self.last_tick = 0.0

    @property
    def ready_workers(self) -> int:
        """Workers that have described themselves."""
        return sum(peer.description is not None for peer in self._peers.values())

    def wake(self) -> None:
        """Says that the queue may have changed."""
        self._wake.set()

    def take_over(self) -> None:
        """Hands trials that an earlier dispatcher left running back to the queue."""
        with self._sessions.begin() as session:
            count = claims.release_all(session, now=now())
        if count:
            log.info("trials_taken_over", trials=count)

    def run(self, stop: threading.Event, timeout_s: float = 0.5) -> None:
        """Ticks until told to stop, then hands what is held back to the queue.

        Raises:
            LeaseLostError: another dispatcher is active.
        """
        renewed = 0.0
        while not stop.is_set():
            try:
                if time.monotonic() - renewed > LEASE_TTL_S / 3:
                    self._renew()
                    renewed = time.monotonic()
                self.tick(timeout_s)
            except OperationalError as error:
                log.warning("store_unreachable", error=str(error.orig))
                stop.wait(1.0)
        held = [pair for peer in self._peers.values() for pair in peer.held]
        with self._sessions.begin() as session:
            claims.hand_back(session, held, now=now())
            lease.drop(session, LEASE, self._holder)
        log.info("dispatcher_stopped", handed_back=len(held))

    def tick(self, timeout_s: float) -> None:
        """One round: spawn what is missing, record what came back, order what is next."""
        self._spawn()
        if any(peer.busy for peer in self._peers.values()):
            self._replies.extend(self._workers.wait(timeout_s))
        else:
            self._wake.wait(timeout_s)
        self._wake.clear()
        while self._replies:
            self._receive(self._replies[0])  # forgotten only once it is committed
            self._replies.popleft()
        self._order()
        self.last_tick = time.monotonic()

    def _renew(self) -> None:
        with self._sessions.begin() as session:
            if not lease.acquire(session, LEASE, self._holder, LEASE_TTL_S, now()):
                raise LeaseLostError("another dispatcher holds the lease; this one stops")

    def _spawn(self) -> None:
        if time.monotonic() < self._spawn_at:
            return
        while len(self._peers) < self._workers.size:
            self._peers[self._workers.spawn()] = Peer()

    def _receive(self, reply: Reply) -> None:
        peer = self._peers[reply.worker]
        if isinstance(reply.value, Return):
            self._record(reply.worker, peer, reply.value)
        elif isinstance(reply.value, WorkerDescription):
            self._introduce(reply.worker, peer, reply.value)
        else:
            self._lose(reply.worker, peer, reply.lost or reply.error or "no answer")

    def _introduce(self, worker: str, peer: Peer, description: WorkerDescription) -> None:
        peer.description = description
        peer.busy = False
        self._stillborn = 0
        for name, experiment in experiments().items():
            tile = "any" if experiment.tile is None else str(experiment.tile)
            peer.numerics[name] = {**description.numerics, "tile": tile}
            peer.classes[name] = claims.class_id(peer.numerics[name])
        log.info("worker_ready", worker=worker, node=description.node)

    def _record(self, worker: str, peer: Peer, returned: Return) -> None:
        assert peer.pack is not None  # noqa: S101 - a worker answers only an order
        with self._sessions.begin() as session:
            done = completion.complete(
                session,
                outcomes=returned.outcomes,
                failures=returned.failures,
                dropped=returned.dropped,
                numerics_id=peer.classes[peer.pack.experiment],
                max_attempts=self._rules.max_attempts,
                now=now(),
            )
        peer.held = set(returned.held)
        peer.busy = False
        for trial, attempt in done.refused:
            log.warning("late_write_refused", trial=trial, attempt=attempt, worker=worker)
        for sweep in done.ended_sweeps:
            log.info("sweep_ended", sweep=sweep)

    def _lose(self, worker: str, peer: Peer, why: str) -> None:
        """A worker died, or its trainer broke: its trials run again from the same streams."""
        with self._sessions.begin() as session:
            claims.hand_back(session, sorted(peer.held), now=now())
        log.warning("worker_lost", worker=worker, trials=len(peer.held), why=why.strip()[-500:])
        if peer.description is None:
            self._stillborn += 1
            self._spawn_at = time.monotonic() + min(30.0, 2.0**self._stillborn)
        self._workers.discard(worker)
        del self._peers[worker]

    def _order(self) -> None:
        idle = [name for name, peer in self._peers.items() if not peer.busy]
        if not idle:
            return
        with self._sessions.begin() as session:
            queues = [
                Waiting(q.sweep, q.structure, q.pack, q.claimable, q.pinned)
                for q in claims.queues(session)
            ]
            held = [pair for name in idle for pair in self._peers[name].held]
            unwanted = claims.unwanted(session, held) if held else set()
        queues = self._park(queues)
        added: dict[str, list[Assignment]] = {}
        for take in takes(self._slots(), queues, self._rules.lanes):
            added.setdefault(take.worker, []).extend(self._claim(take))
        for name in idle:
            self._send(name, added.get(name, []), unwanted)

    def _slots(self) -> list[Slot]:
        return [
            Slot(name, not p.busy, len(p.held), p.pack, p.classes)
            for name, p in self._peers.items()
        ]

    def _park(self, queues: Sequence[Waiting]) -> list[Waiting]:
        """Pauses sweeps whose numerics class no worker has any more."""
        lost = stranded(self._slots(), queues)
        for sweep in {queue.sweep for queue in lost}:
            with self._sessions.begin() as session:
                offered = claims.know(session, self._numerics(sweep, lost))
                reason = sweeps.CODE_CHANGED
                sweeps.pause(session, sweep, reason=reason, offered_class=offered)
            log.warning("sweep_paused", sweep=sweep, reason="code_changed")
        return [queue for queue in queues if queue not in lost]

    def _numerics(self, sweep: str, lost: Sequence[Waiting]) -> dict[str, str]:
        """The class that workers would train a stranded sweep in."""
        experiment = next(q.pack.experiment for q in lost if q.sweep == sweep)
        return next(p.numerics[experiment] for p in self._peers.values() if p.description)

    def _claim(self, take: Take) -> list[Assignment]:
        peer = self._peers[take.worker]
        with self._sessions.begin() as session:
            if not claims.pin(session, take.sweep, peer.numerics[take.pack.experiment]):
                return []
            found = claims.claim(
                session,
                take.sweep,
                take.structure,
                take.limit,
                worker=peer.description.node if peer.description else take.worker,
                now=now(),
            )
        peer.pack = take.pack
        peer.held |= {(a.trial, a.attempt) for a in found}
        return found

    def _send(self, name: str, add: Sequence[Assignment], unwanted: set[tuple[int, int]]) -> None:
        peer = self._peers[name]
        if not peer.held or peer.pack is None:
            return
        order = Order(
            pack=peer.pack,
            add=tuple(add),
            cancel=tuple(sorted(peer.held & unwanted)),
            lanes=self._rules.lanes,
            slice_s=self._rules.slice_s,
        )
        peer.busy = True
        self._workers.send(name, order)


def now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


def await_lease(
    sessions: sessionmaker[Session], holder: str, stop: threading.Event, say: Callable[[str], None]
) -> bool:
    """Waits until this holder has the dispatcher's lease; False if told to stop before."""
    told = False
    while not stop.is_set():
        with sessions.begin() as session:
            if lease.acquire(session, LEASE, holder, LEASE_TTL_S, now()):
                return True
        if not told:
            say("another dispatcher is active on this store; waiting for its lease to end")
            told = True
        stop.wait(1.0)
    return False

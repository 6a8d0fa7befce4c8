"""The dispatcher's edge: store on one side, workers on the other, one transaction a turn."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.peers import Peer, Workers
from service.dispatch.turn import Rules, Turn
from service.store import lease, release
from workers.pool import Reply  # noqa: TC001 - a name that readers and mypy see alike

__all__ = ["LEASE", "Dispatcher", "LeaseLostError", "Rules", "Workers", "await_lease", "now"]

log = structlog.get_logger()

LEASE = "dispatcher"
LEASE_TTL_S = 15.0


class LeaseLostError(Exception):
    """Another dispatcher took over; this one must not write any more."""


class Dispatcher:
    """Claims trials for workers and records what they return.

    Whatever stands in memory here can be lost: `take_over` hands every running trial back to the
    queue, and a late write of an earlier attempt is refused by the store.

    Args:
        sessions: opens store sessions; the loop commits once a turn.
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
        self._replies: list[Reply] = []
        self._wake = threading.Event()
        self._stillborn = 0
        self._spawn_at = 0.0
        self._in_doubt = False
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
            count = release.release_all(session, now=now())
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
            except (OperationalError, InterfaceError) as error:
                log.warning("store_unreachable", error=str(error.orig))
                stop.wait(1.0)
        held = [pair for peer in self._peers.values() for pair in peer.held]
        with self._sessions.begin() as session:
            release.hand_back(session, held, now=now())
            lease.drop(session, LEASE, self._holder)
        log.info("dispatcher_stopped", handed_back=len(held))

    def tick(self, timeout_s: float) -> None:
        """One round: spawn what is missing, record what came back, order what is next."""
        self._spawn()
        if any(peer.busy for peer in self._peers.values()):
            self._replies += self._workers.wait(timeout_s)
        else:
            self._wake.wait(timeout_s)
        self._wake.clear()
        if self._replies or not all(peer.busy for peer in self._peers.values()):
            self._adopt(self._turn())
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

    def _turn(self) -> Turn:
        """Replies are forgotten, and orders sent, only once the turn is committed.

        A commit that fails may have reached the store before the connection broke. Trials that it
        claimed then run there and are held by nobody, so the next turn hands them back.

        Raises:
            LeaseLostError: another dispatcher took over; nothing was written.
        """
        try:
            with self._sessions.begin() as session:
                if not lease.undisputed(session, LEASE, self._holder):
                    raise LeaseLostError("another dispatcher took the lease; this one stops")
                if self._in_doubt:
                    held = {pair for peer in self._peers.values() for pair in peer.held}
                    release.release_all(session, now=now(), keep=held)
                turn = Turn(session, self._peers, self._rules, now())
                turn.receive(self._replies)
                turn.order()
        except (OperationalError, InterfaceError):
            self._in_doubt = True
            raise
        self._in_doubt = False
        return turn

    def _adopt(self, turn: Turn) -> None:
        """Makes true outside the store what a committed turn decided."""
        self._replies = []
        self._peers = turn.peers
        if turn.introduced:
            self._stillborn = 0
        for worker, was_known in turn.lost.items():
            if not was_known:
                self._stillborn += 1
                self._spawn_at = time.monotonic() + min(30.0, 2.0**self._stillborn)
            self._workers.discard(worker)
        for worker, order in turn.orders.items():
            self._workers.send(worker, order)
        for note in turn.notes:
            getattr(log, note.level)(note.event, **note.fields)


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

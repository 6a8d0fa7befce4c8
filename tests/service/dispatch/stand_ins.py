"""Stand-ins for the pool, and stores that fail when a test says so."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.loop import LEASE, Dispatcher, Rules
from service.store import lease, sweeps
from service.store.progress import Progress, progress
from tests.service.samples import NUMERICS, moment, outcome, plan
from workers.messages import Failure, Order, Return, WorkerDescription
from workers.pool import Reply

RULES = Rules(lanes=4, slice_s=1.0, max_attempts=2)
Answer = Callable[[str, Order], Reply | None]


class Clock:
    """A time that a test moves."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class FakeWorkers:
    """Workers that end every trial at once, unless a test says otherwise."""

    def __init__(self, size: int = 2, numerics: dict[str, str] | None = None) -> None:
        self.size = size
        self.numerics = numerics or dict(NUMERICS)
        self.spawned = 0
        self.replies: list[Reply] = []
        self.orders: list[tuple[str, Order]] = []
        self.discarded: list[str] = []
        self.kill_next = 0
        self.fail_next = 0

    def spawn(self) -> str:
        self.spawned += 1
        name = f"worker-{self.spawned}"
        self.replies.append(Reply(name, value=WorkerDescription(self.numerics, node=name)))
        return name

    def pending(self) -> frozenset[str]:
        return frozenset()

    def send(self, worker: str, order: Order) -> None:
        self.orders.append((worker, order))
        if self.kill_next:
            self.kill_next -= 1
            self.replies.append(Reply(worker, lost="killed"))
        elif self.fail_next:
            self.fail_next -= 1
            failed = [Failure(a.trial, a.attempt, "Boom", "Trace") for a in order.add]
            self.replies.append(Reply(worker, value=Return(failures=tuple(failed))))
        else:
            reply = self.answer(worker, order)
            self.replies += [reply] if reply is not None else []

    def answer(self, worker: str, order: Order) -> Reply | None:
        """What comes of an order; None is never an answer."""
        done = tuple(outcome(a) for a in order.add)
        return Reply(worker, value=Return(outcomes=done, dropped=order.cancel))

    def wait(self, timeout_s: float) -> list[Reply]:
        found, self.replies = self.replies, []
        return [r for r in found if r.worker not in self.discarded]

    def discard(self, worker: str) -> None:
        self.discarded.append(worker)


class Answering(FakeWorkers):
    """Workers that answer as a test says."""

    def __init__(self, answer: Answer, size: int = 1) -> None:
        super().__init__(size)
        self._answer = answer

    def answer(self, worker: str, order: Order) -> Reply | None:
        return self._answer(worker, order)


def submit(sessions: sessionmaker[Session], **changes: Any) -> str:
    """A sweep."""
    with sessions.begin() as session:
        return sweeps.create(session, plan(**changes), now=moment())[0]


def look(sessions: sessionmaker[Session], sweep: str) -> Progress:
    """Its counters."""
    with sessions() as session:
        return progress(session, sweep)


def run(dispatcher: Dispatcher, ticks: int = 40) -> None:
    """So many rounds without waiting."""
    for _ in range(ticks):
        dispatcher.tick(0.0)


def end_lease(sessions: sessionmaker[Session]) -> None:
    """As if the holder's time had run out."""
    with sessions.begin() as session:
        lease.clear(session, LEASE)


class Faulty:
    """Sessions of a store that fails at chosen moments.

    Args:
        engine: the store's; commits that are lost happen, but say that they did not.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.lose_commits = 0
        self.fail_statements: Callable[[str], Exception | None] = lambda _: None
        event.listen(engine, "before_cursor_execute", self._statement)

    def _statement(self, _c: Any, _k: Any, statement: str, *_: Any) -> None:
        error = self.fail_statements(statement)
        if error is not None:
            raise error

    @contextlib.contextmanager
    def begin(self) -> Iterator[Session]:
        """As a sessionmaker's."""
        with sessionmaker(self.engine, expire_on_commit=False).begin() as session:
            yield session
        if self.lose_commits:
            self.lose_commits -= 1
            raise gone()


def gone() -> OperationalError:
    """The connection broke."""
    return OperationalError("COMMIT", {}, Exception("server closed the connection"))

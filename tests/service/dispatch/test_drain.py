"""A dispatcher that is told to stop claims no more, records what ends, and hands back the rest."""

import threading

import pytest
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from service.dispatch.loop import Dispatcher, Rules
from service.store import lease
from tests.service.dispatch.stand_ins import FakeWorkers, look, run, submit
from tests.service.samples import moment, outcome
from workers.messages import Order, Return, StorageRule
from workers.pool import Reply

STORED = StorageRule("file:///nowhere", 60.0)


class Slow(FakeWorkers):
    """Workers whose calls end only once they are drained, and half of their trials with them.

    Args:
        interrupted: whether a second signal comes while the first call is waited for.
    """

    def __init__(self, *, interrupted: bool = False) -> None:
        super().__init__(2)
        self.draining = False
        self.interrupted = interrupted
        self.given: dict[str, Order] = {}

    def answer(self, worker: str, order: Order) -> Reply | None:
        if order.park:
            held = tuple((a.trial, a.attempt) for a in self.given[worker].add[1:])
            return Reply(worker, value=Return(dropped=held))
        assert not self.draining, "claimed while it drained"
        self.given[worker] = order
        return None

    def wait(self, timeout_s: float) -> list[Reply]:
        if self.draining and self.interrupted:
            raise KeyboardInterrupt
        found = super().wait(timeout_s)
        if self.draining and not found:
            for worker, order in self.given.items():
                first, *rest = order.add
                held = tuple((a.trial, a.attempt) for a in rest)
                found.append(Reply(worker, value=Return(outcomes=(outcome(first),), held=held)))
        return found


def drain(dispatcher: Dispatcher, workers: Slow) -> None:
    """Some rounds, and then the word to stop."""
    run(dispatcher, 2)
    assert len(workers.given) == 2
    workers.draining = True
    stop = threading.Event()
    stop.set()
    dispatcher.run(stop, 0.0)


def free(sessions: sessionmaker[Session]) -> bool:
    """Whether another may take the lease at once."""
    with sessions.begin() as session:
        return lease.acquire(session, "dispatcher", "other", 1, moment())


def test_calls_end_lanes_are_parked_and_nothing_is_claimed(
    sessions: sessionmaker[Session],
) -> None:
    sweep, workers = submit(sessions), Slow()
    drain(Dispatcher(sessions, workers, Rules(4, 1.0, 2, storage=STORED), "me"), workers)
    parks = [order for _, order in workers.orders if order.park]
    assert len(parks) == 2
    assert all(0.0 < order.park_s <= 20.0 and order.storage == STORED for order in parks)
    now = look(sessions, sweep)
    assert (now.ended, now.running) == (2, 0)
    assert free(sessions)


def test_without_storage_what_does_not_end_is_handed_back(sessions: sessionmaker[Session]) -> None:
    """The wait is bounded: these workers would never be done."""
    sweep, workers = submit(sessions), Slow()
    drain(Dispatcher(sessions, workers, Rules(4, 1.0, 2), "me"), workers)
    assert [order for _, order in workers.orders if order.park] == []
    now = look(sessions, sweep)
    assert (now.ended, now.running) == (2, 0)
    assert free(sessions)


@pytest.mark.parametrize("limit_s", [0.0, 20.0])
def test_a_second_signal_or_the_limit_cuts_it_short(
    sessions: sessionmaker[Session], limit_s: float
) -> None:
    """What was not recorded is handed back all the same, and the lease dropped."""
    sweep, workers = submit(sessions), Slow(interrupted=limit_s > 0)
    rules = Rules(4, 1.0, 2, storage=STORED, drain_s=limit_s)
    with capture_logs() as logged:
        drain(Dispatcher(sessions, workers, rules, "me"), workers)
    now = look(sessions, sweep)
    assert (now.ended, now.running) == (0, 0)
    assert free(sessions)
    events = [line["event"] for line in logged]
    assert ("drain_cut_short" in events) == (limit_s > 0)
    assert events[-1] == "dispatcher_stopped"


class Unsendable(Slow):
    """Workers that cannot be told to park."""

    rounds = 0

    def answer(self, worker: str, order: Order) -> Reply | None:
        if order.park:
            raise ConnectionError("Ray is gone")
        return super().answer(worker, order)

    def wait(self, timeout_s: float) -> list[Reply]:
        self.rounds += self.draining
        found = super().wait(timeout_s)
        return found if self.rounds < 2 else []


def test_a_drain_does_not_wait_for_who_could_not_be_told_to_park(
    sessions: sessionmaker[Session],
) -> None:
    """Nothing is in flight then: it would ask again and again until its time is over."""
    sweep, workers = submit(sessions), Unsendable()
    rules = Rules(4, 1.0, 2, storage=STORED, drain_s=60.0)
    drain(Dispatcher(sessions, workers, rules, "me"), workers)
    assert workers.rounds == 1
    assert sorted(workers.discarded) == ["worker-1", "worker-2"]
    now = look(sessions, sweep)
    assert (now.ended, now.running) == (2, 0)

"""A turn is one transaction: what fails leaves no trace, what is in doubt is handed back."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.loop import LEASE, Dispatcher, LeaseLostError, now
from service.store import claims, lease, sweeps
from service.store.engine import session_factory
from service.store.errors import StateConflictError
from tests.service.dispatch.stand_ins import (
    RULES,
    FakeWorkers,
    end_lease,
    look,
    run,
    submit,
)
from tests.service.samples import NUMERICS
from tests.service.store.test_batches import watched
from tests.service.store.test_conformance import check_counters

GONE = OperationalError("COMMIT", {}, Exception("the server closed the connection"))


class Torn:
    """Sessions whose next transaction breaks, before it is committed or just after."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions
        self.breaks: str | None = None

    @contextlib.contextmanager
    def begin(self) -> Iterator[Session]:
        breaks, self.breaks = self.breaks, None
        with self._sessions.begin() as session:
            yield session
            if breaks == "before":
                raise GONE
        if breaks == "after":
            raise GONE


def begun(sessions: sessionmaker[Session]) -> tuple[Torn, FakeWorkers, Dispatcher, str]:
    """A dispatcher whose workers have answered their first orders."""
    sweep, workers, torn = submit(sessions), FakeWorkers(), Torn(sessions)
    dispatcher = Dispatcher(torn, workers, RULES, "me")  # type: ignore[arg-type]
    dispatcher.tick(0.0)
    return torn, workers, dispatcher, sweep


@pytest.mark.parametrize("breaks", ["before", "after"])
def test_a_broken_commit_loses_no_trial_and_counts_none_twice(
    sessions: sessionmaker[Session], breaks: str
) -> None:
    """Outcomes came back and trials were claimed; whether the store has them is not known."""
    torn, workers, dispatcher, sweep = begun(sessions)
    sent = len(workers.orders)
    torn.breaks = breaks
    with pytest.raises(OperationalError):
        dispatcher.tick(0.0)
    assert len(workers.orders) == sent
    run(dispatcher)
    after = look(sessions, sweep)
    assert (after.state, after.ended, after.running) == ("finished", 24, 0)
    check_counters(sessions, sweep)


def test_the_first_claims_of_a_broken_commit_are_handed_back(
    sessions: sessionmaker[Session],
) -> None:
    sweep, workers, torn = submit(sessions), FakeWorkers(), Torn(sessions)
    dispatcher = Dispatcher(torn, workers, RULES, "me")  # type: ignore[arg-type]
    torn.breaks = "after"
    with pytest.raises(OperationalError):
        dispatcher.tick(0.0)
    assert look(sessions, sweep).running > 0
    assert workers.orders == []
    run(dispatcher)
    assert look(sessions, sweep).state == "finished"
    assert max(a.attempt for _, order in workers.orders for a in order.add) == 2


def test_a_dispatcher_whose_lease_another_has_writes_nothing(
    sessions: sessionmaker[Session],
) -> None:
    """It slept past its lease, and wakes with an answer in its hands."""
    _, workers, dispatcher, sweep = begun(sessions)
    before, sent = look(sessions, sweep), len(workers.orders)
    with sessions.begin() as session:
        lease.clear(session, LEASE)
        assert lease.acquire(session, LEASE, "another", 60, lease.clock(session, now()))
    with pytest.raises(LeaseLostError):
        dispatcher.tick(0.0)
    assert look(sessions, sweep) == before
    assert len(workers.orders) == sent


def test_a_sweep_cancelled_while_it_is_parked_stays_cancelled(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL a user's cancel can come between the look at the queues and the pause."""
    _, _, first, sweep = begun(sessions)
    first.tick(0.0)
    other = FakeWorkers(numerics=NUMERICS | {"code": "two"})
    second = Dispatcher(sessions, other, RULES, "second")

    def too_late(*_: Any, **__: Any) -> None:
        raise StateConflictError("it is cancelling", "nothing")

    monkeypatch.setattr(sweeps, "pause", too_late)
    end_lease(sessions)
    run(second, 3)
    assert look(sessions, sweep).state == "running"


def test_what_two_workers_return_at_once_is_one_transaction(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = session_factory(engine)
    _, workers, dispatcher, sweep = begun(sessions)
    assert len(workers.replies) == 2
    with watched(engine) as statements:
        dispatcher.tick(0.0)
    assert look(sessions, sweep).ended == 8
    assert sum(s.startswith("INSERT INTO outcomes") for s, _ in statements) == 1
    with sessions() as session:
        assert claims.queues(session)[0].sweep == sweep


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions of the store on each database."""
    return session_factory(engine)

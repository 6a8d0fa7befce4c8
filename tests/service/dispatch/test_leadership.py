"""A dispatcher that slept through its lease writes nothing, and what it held is run again once."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch import leadership
from service.dispatch.leadership import LeaseLostError, await_lease, hold, now
from service.dispatch.loop import Dispatcher
from service.processes.dispatcher import lead
from service.store import lease
from service.store.engine import session_factory
from service.store.tables import trials
from tests.service.dispatch.stand_ins import (
    RULES,
    FakeWorkers,
    Faulty,
    end_lease,
    gone,
    look,
    run,
    submit,
)
from tests.service.samples import moment

pytestmark = pytest.mark.usefixtures("long_lease")


def running(engine: Engine) -> int:
    """Rows that say that they run."""
    with engine.connect() as connection:
        query = select(func.count()).select_from(trials).where(trials.c.state == "running")
        return int(connection.scalar(query) or 0)


def test_one_that_slept_claims_and_records_nothing_and_leaves_no_orphans(engine: Engine) -> None:
    sessions = session_factory(engine)
    sweep = submit(sessions)
    asleep, workers = FakeWorkers(2), FakeWorkers(2)
    first = Dispatcher(sessions, asleep, RULES, "first")
    run(first, 2)  # it holds trials; then it stalls
    end_lease(sessions)
    second = Dispatcher(sessions, workers, RULES, "second")
    run(second, 2)
    before, orders = look(sessions, sweep), len(asleep.orders)
    with pytest.raises(LeaseLostError, match="another dispatcher"):
        first.tick(0.0)
    assert look(sessions, sweep) == before
    assert len(asleep.orders) == orders
    run(second, 20)
    assert look(sessions, sweep).state == "finished"
    assert running(engine) == 0


def test_one_that_woke_waits_for_the_lease_again_with_new_workers(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losing the lease does not end the service."""
    sessions = session_factory(engine)
    sweep = submit(sessions)
    with sessions.begin() as session:
        assert lease.acquire(session, leadership.LEASE, "other", 60, lease.clock(session, now()))
    workers = FakeWorkers(1)
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    waits = []

    def waiting(*_: object) -> bool:
        waits.append(1)
        if len(waits) == 2:
            end_lease(sessions)
        return len(waits) < 3

    class Ended(threading.Event):
        def is_set(self) -> bool:
            return look(sessions, sweep).state == "finished"

    monkeypatch.setattr("service.processes.dispatcher.await_lease", waiting)
    lead(dispatcher, sessions, "me", Ended())
    assert len(waits) == 3
    assert workers.discarded == []  # none was spawned before the lease was seen to be lost


def test_forgotten_workers_are_ended(sessions: sessionmaker[Session]) -> None:
    """What they train is another dispatcher's to run again."""
    submit(sessions)
    workers = FakeWorkers(2)
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    run(dispatcher, 2)
    with sessions.begin() as session:
        lease.clear(session, leadership.LEASE)
        assert lease.acquire(session, leadership.LEASE, "other", 60, now())
    with pytest.raises(LeaseLostError):
        dispatcher.run(threading.Event(), 0.0)
    assert sorted(workers.discarded) == ["worker-1", "worker-2"]
    assert dispatcher.announcement().workers == 0


def test_nobody_gets_the_lease_while_a_transaction_that_holds_it_is_open(engine: Engine) -> None:
    """On PostgreSQL even after it has run out: the other waits for the row."""
    sessions = session_factory(engine)
    asked, answers = threading.Event(), []

    def other() -> None:
        asked.set()
        with sessions.begin() as session:
            answers.append(lease.acquire(session, "dispatcher", "two", 5, moment(100)))

    thread = threading.Thread(target=other)
    with sessions.begin() as session:
        assert lease.acquire(session, "dispatcher", "one", 5, moment(0))
        thread.start()
        assert asked.wait(10)
        thread.join(0.3)
        assert answers == []
    thread.join(20)
    assert answers == [True]


def test_hosts_whose_clocks_differ_agree_on_postgresql(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose clock is an hour ahead would else take every lease at once."""
    sessions = session_factory(engine)
    with sessions.begin() as session:
        hold(session, "one")
    monkeypatch.setattr(leadership, "now", lambda: now() + timedelta(hours=1))
    shared = engine.dialect.name == "postgresql"
    with sessions() as session:
        try:
            hold(session, "two")
        except LeaseLostError:
            assert shared
        else:
            assert not shared  # a SQLite file is one host's alone


def test_waiting_for_the_lease_outlives_a_store_that_is_away(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty, errors = Faulty(engine), [gone(), gone()]
    faulty.fail_statements = lambda _: errors.pop() if errors else None

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return self.is_set()

    assert await_lease(faulty, "me", Impatient(), lambda _: None)  # type: ignore[arg-type]
    assert errors == []

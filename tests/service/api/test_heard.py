"""What the API knows of a dispatcher that runs elsewhere: what the store says, and no more."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from service.api import heard
from service.api.heard import Heard
from service.api.state import Health
from service.dispatch import announcing
from service.dispatch.loop import Dispatcher
from service.store import sweeps
from service.store.announcements import Announcement, announce
from service.store.engine import open_engine, reading_factory, session_factory
from service.store.lease import LEASE
from tests.service.dispatch.stand_ins import RULES, FakeWorkers, end_lease, run, submit
from tests.service.samples import moment, plan
from workers.messages import Order, Return
from workers.pool import Reply


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question is asked of the store, and nothing comes due by itself."""
    monkeypatch.setattr(heard, "FRESH_S", -1.0)
    monkeypatch.setattr(announcing, "TELEMETRY_S", 600.0)


class Holding(FakeWorkers):
    """Workers that are half way through all that they ever got."""

    def answer(self, worker: str, order: Order) -> Reply:
        given = [a for name, o in self.orders if name == worker for a in o.add]
        held = tuple((a.trial, a.attempt) for a in given)
        return Reply(worker, value=Return(held=held, steps=(100,) * len(held)))


def test_it_knows_what_an_active_dispatcher_announced(engine: Engine) -> None:
    """Through the store alone, on each database."""
    sessions, api = session_factory(engine), Heard(reading_factory(engine))
    assert api.health() == Health(store=True, dispatcher=False, workers=0)
    assert (api.classes(), api.running_share("any"), api.lacking(["any"])) == (None, None, {})
    sweep = submit(sessions, grid={}, seeds=1, cohort=1)
    dispatcher = Dispatcher(sessions, Holding(2), RULES, "me")
    run(dispatcher, 2)
    assert api.health() == Health(store=True, dispatcher=True, workers=2)
    assert api.classes() == dispatcher.announcement().classes != frozenset()
    assert api.running_share(sweep) == 0.0
    run(dispatcher, 1)
    assert api.running_share(sweep) == 0.0  # how far trials are is said now and then
    dispatcher._said_at -= 600.0
    run(dispatcher, 1)
    assert api.running_share(sweep) == 0.5
    assert api.running_share("another") is None


def test_nothing_is_known_of_a_dispatcher_whose_lease_ran_out(engine: Engine) -> None:
    sessions, api = session_factory(engine), Heard(reading_factory(engine))
    run(Dispatcher(sessions, FakeWorkers(), RULES, "me"), 2)
    assert api.health().dispatcher
    end_lease(sessions)
    assert api.health() == Health(store=True, dispatcher=False, workers=0)
    assert api.classes() is None


def test_what_one_dispatcher_announced_is_not_said_of_the_next(engine: Engine) -> None:
    """The next one has the lease and no workers yet."""
    sessions, api = session_factory(engine), Heard(reading_factory(engine))
    run(Dispatcher(sessions, FakeWorkers(), RULES, "one"), 2)
    end_lease(sessions)
    Dispatcher(sessions, FakeWorkers(), RULES, "two")._renew()
    assert api.health() == Health(store=True, dispatcher=True, workers=0)
    assert api.classes() == frozenset()


def test_data_that_no_worker_has_is_named_with_its_cure(engine: Engine) -> None:
    sessions, api = session_factory(engine), Heard(reading_factory(engine))
    run(Dispatcher(sessions, FakeWorkers(), RULES, "me"), 2)
    with sessions.begin() as session:
        said = Announcement(1, lacking={"mnist70k": "fetch it"})
        announce(session, LEASE, "me", said, moment())
    assert api.lacking(["mnist70k", "digits5k"]) == {"mnist70k": "fetch it"}


def test_the_store_is_asked_once_a_second_at_most(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heard, "FRESH_S", 60.0)
    sessions, api = session_factory(sqlite), Heard(reading_factory(sqlite))
    assert not api.health().dispatcher
    run(Dispatcher(sessions, FakeWorkers(), RULES, "me"), 2)
    assert not api.health().dispatcher
    api._asked_at = time.monotonic() - 61.0
    assert api.health().dispatcher


def test_a_store_that_is_away_is_said_to_be() -> None:
    away = open_engine("postgresql+psycopg://nobody@127.0.0.1:9/none")
    assert Heard(reading_factory(away)).health() == Health(store=False, dispatcher=False, workers=0)
    away.dispose()


def test_that_a_store_is_away_is_remembered_for_as_long_as_an_answer(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who waited for whoever found out do not find out again, one after the other."""
    monkeypatch.setattr(heard, "FRESH_S", 60.0)
    away = open_engine("postgresql+psycopg://nobody@127.0.0.1:9/none")
    api = Heard(reading_factory(away))
    assert not api.health().store
    away.dispose()
    api._reading = reading_factory(sqlite)
    assert not api.health().store
    with pytest.raises(OperationalError):
        api.classes()
    assert api._asked_at is not None
    api._asked_at -= 61.0
    assert api.health().store


def test_one_waits_for_a_store_that_hangs_and_the_others_not_for_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("a reader of SQLite waits for nobody")
    monkeypatch.setattr(heard, "WAIT_S", 0.1)
    api = Heard(reading_factory(engine))
    with ThreadPoolExecutor() as threads:
        with engine.begin() as holder:
            holder.execute(text("LOCK TABLE leases, announcements IN ACCESS EXCLUSIVE MODE"))
            first = threads.submit(api.health)
            while not api._lock.locked():
                time.sleep(0.01)
            others = [threads.submit(api.health) for _ in range(4)]
            assert not any(other.result(timeout=30).store for other in others)
            assert not first.done()
        assert first.result(timeout=30).store


def test_readyz_does_not_call_a_store_dead_because_somebody_writes(sqlite: Engine) -> None:
    """Nor waits: a connection that might write would wait for the lock, and then fail."""
    api: Callable[[], Health] = Heard(reading_factory(sqlite)).health
    with session_factory(sqlite).begin() as writer:
        sweeps.create(writer, plan(), now=moment())
        assert api().store

"""A sweep that somebody else has locked is passed: the others go on, and nothing of it is lost."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from service.dispatch import loop, passed
from service.dispatch.loop import LEASE, Dispatcher
from service.store import forecasts, lease, locks, replays, sweeps
from service.store.engine import may_be_silent, session_factory
from service.store.locks import Locks
from service.store.tables import sweeps as rows
from service.store.tables import trials
from tests.service.dispatch.stand_ins import (
    RULES,
    Answering,
    FakeWorkers,
    Faulty,
    end_lease,
    look,
    run,
    submit,
)
from tests.service.dispatch.test_pacing import Machine
from tests.service.samples import NUMERICS, moment, outcome
from tests.service.store.test_conformance import check_counters
from workers.messages import Order, Return
from workers.pool import ClusterLostError, Reply

Sessions = sessionmaker[Session]


pytestmark = pytest.mark.parametrize("bare", ["postgresql"], indirect=True)  # see Locks


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    """Sessions of the store; whoever waits for a lock fails after a while, and does not hang."""
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("SET LOCAL lock_timeout = '2s'"))
    return session_factory(engine)


@contextlib.contextmanager
def locked(sessions: Sessions, sweep: str) -> Iterator[Session]:
    """Somebody else's transaction, as one that adds criteria for minutes."""
    with sessions.begin() as other:
        may_be_silent(other.connection())
        sweeps.lock(other, sweep)
        yield other


def begun(sessions: Sessions, workers: FakeWorkers, **changes: Any) -> tuple[Dispatcher, str]:
    """A dispatcher whose workers have been given trials of a sweep."""
    sweep = submit(sessions, **changes)
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    dispatcher.tick(0.0)
    assert look(sessions, sweep).running > 0
    return dispatcher, sweep


def whole(sessions: Sessions, sweep: str) -> None:
    """It has ended with everything once, and no attempt came to nothing."""
    now = look(sessions, sweep)
    assert (now.state, now.ended, now.running) == ("finished", now.trials, 0)
    check_counters(sessions, sweep)
    with sessions() as session:
        mine = select(func.max(trials.c.attempt)).where(trials.c.sweep == sweep)
        assert session.scalar(mine) == 1


def test_the_others_are_served_while_one_is_locked(sessions: Sessions) -> None:
    """Workers that had been given all of it go over to the other sweep, which ends meanwhile."""
    workers = FakeWorkers()
    dispatcher, one = begun(sessions, workers)
    other = submit(sessions, fixed={"depth": 4, "width": 8})
    before = look(sessions, one)
    with locked(sessions, one):
        run(dispatcher)
        assert look(sessions, one) == before
        whole(sessions, other)
    run(dispatcher)
    whole(sessions, one)


def test_one_answer_about_two_sweeps_is_recorded_for_the_one_that_is_free(
    sessions: Sessions,
) -> None:
    """They share the lanes of one pack."""
    waits: list[Order] = []

    def answer(worker: str, order: Order) -> Reply | None:
        waits.append(order)
        return None

    workers = Answering(answer)
    one, other = (submit(sessions, grid={}, seeds=2, cohort=2) for _ in range(2))
    dispatcher = Dispatcher(sessions, workers, replace(RULES, lanes=16), "me")
    run(dispatcher, 2)
    assert [look(sessions, s).running for s in (one, other)] == [4, 4]
    done = tuple(outcome(task) for order in waits for task in order.add)
    workers.replies.append(Reply("worker-1", value=Return(outcomes=done)))
    with locked(sessions, one):
        run(dispatcher, 3)
        whole(sessions, other)
        assert look(sessions, one).running == 4
    run(dispatcher, 3)
    whole(sessions, one)


def test_what_is_foretold_of_it_is_marked_later(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark is a row that names the sweep: the first, or any while it is deleted, would wait."""
    machine = Machine(monkeypatch)
    one = submit(sessions)
    dispatcher = Dispatcher(sessions, machine.workers(), RULES, "me")
    run(dispatcher, 2)

    def told() -> int:
        with sessions() as session:
            return len((forecasts.recall(session, one) or {}).get("marks", ()))

    before = told()
    with locked(sessions, one):
        run(dispatcher, 3)
        assert told() == before
    run(dispatcher)
    assert told() > before
    whole(sessions, one)


def test_what_was_lost_with_its_worker_is_counted_once_it_can_be(sessions: Sessions) -> None:
    workers = FakeWorkers(1)
    workers.kill_next = 1
    dispatcher, one = begun(sessions, workers)
    with locked(sessions, one):
        run(dispatcher, 4)
    run(dispatcher)
    now = look(sessions, one)
    assert (now.state, now.ended) == ("finished", 24)
    with sessions() as session:
        found = session.execute(
            select(trials.c.attempt, trials.c.losses).where(trials.c.attempt > 1)
        ).all()
    assert found
    assert {tuple(r) for r in found} == {(2, 1)}


def test_what_nobody_holds_is_handed_back_once_it_can_be(sessions: Sessions) -> None:
    """By the successor of a dispatcher that died; no minute goes by before it looks again."""
    _, one = begun(sessions, FakeWorkers())
    end_lease(sessions)
    second = Dispatcher(sessions, FakeWorkers(), RULES, "second")
    with locked(sessions, one):
        run(second, 3)
        assert look(sessions, one).running > 0
    run(second)
    assert look(sessions, one).state == "finished"
    check_counters(sessions, one)


def test_a_sweep_deleted_meanwhile_takes_with_it_what_was_deferred(sessions: Sessions) -> None:
    dispatcher, one = begun(sessions, FakeWorkers())
    other = submit(sessions, fixed={"depth": 4, "width": 8})
    with locked(sessions, one) as user:
        run(dispatcher, 4)
        user.execute(rows.delete().where(rows.c.id == one))
        run(dispatcher, 4)
    run(dispatcher)
    whole(sessions, other)


def test_one_cancelled_meanwhile_keeps_what_had_ended(sessions: Sessions) -> None:
    dispatcher, one = begun(sessions, FakeWorkers())
    running = look(sessions, one).running
    with locked(sessions, one) as user:
        run(dispatcher, 4)
        sweeps.cancel(user, one, now=moment())
    run(dispatcher, 4)
    now = look(sessions, one)
    assert (now.state, now.ended) == ("cancelled", 24)
    assert sum(a.ended["finished"] for a in now.arms) == running
    check_counters(sessions, one)


def test_a_replay_of_it_is_compared_later(sessions: Sessions) -> None:
    workers = FakeWorkers(1)
    dispatcher, one = begun(sessions, workers)
    run(dispatcher)
    with sessions.begin() as session:
        replays.ask(session, 1, None, moment())
        replays.ask(session, 2, None, moment())
    with locked(sessions, one):
        run(dispatcher, 3)
    with sessions() as session:
        assert replays.counts(session, one)["waiting"] == 2
    dispatcher.tick(0.0)
    other = submit(sessions, fixed={"depth": 4, "width": 8})
    with locked(sessions, one):
        run(dispatcher)
        whole(sessions, other)
    run(dispatcher, 4)
    with sessions() as session:
        assert replays.counts(session, one)["equal"] == 2


def test_it_holds_up_no_replays_of_others(sessions: Sessions) -> None:
    """However many of its own were asked for before."""
    one, other = submit(sessions, seeds=36), submit(sessions, fixed={"depth": 4, "width": 8})
    dispatcher = Dispatcher(sessions, FakeWorkers(1), RULES, "me")
    run(dispatcher, 150)
    with sessions.begin() as session:
        replays.ask_sample(session, one, 0.5, None, moment())
        replays.ask_sample(session, other, 0.1, None, moment())
        assert replays.counts(session, one)["waiting"] >= 64
    with locked(sessions, one):
        run(dispatcher, 10)
        with sessions() as session:
            asked = replays.counts(session, other)
        assert asked["equal"] > 0
        assert asked["waiting"] == 0
    run(dispatcher, 150)
    with sessions() as session:
        assert replays.counts(session, one)["waiting"] == 0


def test_one_that_is_locked_for_a_moment_is_not_passed(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a change of its note; of one that was passed before nobody waits for the moment."""
    dispatcher, one = begun(sessions, FakeWorkers())
    before, moments = look(sessions, one).ended, [0.0]
    with contextlib.ExitStack() as held:

        def release(seconds: float) -> None:
            moments.append(seconds)
            held.close()

        monkeypatch.setattr(locks.time, "sleep", release)
        held.enter_context(locked(sessions, one))
        dispatcher.tick(0.0)
    assert moments == [0.0, locks.AGAIN_S]
    assert look(sessions, one).ended > before
    monkeypatch.setattr(locks.time, "sleep", moments.append)
    with locked(sessions, one):
        run(dispatcher, 5)
    assert moments == [0.0, locks.AGAIN_S, locks.AGAIN_S]


def test_what_is_let_go_while_a_dispatcher_drains_is_recorded_then(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker trains any more; it waits for the sweep alone."""
    dispatcher, one = begun(sessions, FakeWorkers())
    running, stop = look(sessions, one).running, threading.Event()
    heard = dispatcher._heard
    with contextlib.ExitStack() as held:
        held.enter_context(locked(sessions, one))
        run(dispatcher, 3)

        def hear(left_s: float) -> Sequence[Reply]:
            held.close()
            return heard(left_s)

        monkeypatch.setattr(dispatcher, "_heard", hear)
        monkeypatch.setattr(dispatcher, "_hand_back", lambda: None)
        stop.set()
        dispatcher.run(stop, 0.0)
    now = look(sessions, one)
    assert (now.ended, now.running) == (running, 0)


def test_one_that_stays_locked_is_told_in_the_log_once(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passed, "TELL_S", 0.0)
    dispatcher, one = begun(sessions, FakeWorkers())
    with capture_logs() as logged, locked(sessions, one):
        run(dispatcher, 5)
    [told] = [line for line in logged if line["event"] == "sweep_locked"]
    assert told["sweep"] == one
    assert "pg_blocking_pids" in told["cure"]


@pytest.mark.parametrize("how", ["its cluster is lost", "its drain was cut short"])
def test_what_ended_is_recorded_before_the_rest_is_handed_back(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The sweep is free again: nothing of it runs twice."""
    workers = FakeWorkers()
    dispatcher, one = begun(sessions, workers)
    with locked(sessions, one):
        run(dispatcher, 3)
    running, stop = look(sessions, one).running, threading.Event()
    if how == "its cluster is lost":

        def lost() -> None:
            raise ClusterLostError("gone")

        monkeypatch.setattr(workers, "pending", lost)
        with pytest.raises(ClusterLostError):
            dispatcher.run(stop, 0.0)
    else:
        stop.set()
        monkeypatch.setattr(dispatcher, "_drain", lambda _: None)
        dispatcher.run(stop, 0.0)
    now = look(sessions, one)
    assert (now.ended, now.running) == (running, 0)
    run(Dispatcher(sessions, FakeWorkers(), RULES, "me"))
    whole(sessions, one)


def test_a_successor_need_not_wait_for_a_sweep_that_stays_locked(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker trains any more, and the time that workers have is not spent."""
    monkeypatch.setattr(loop, "DEFERRED_MOST_S", 0.1)
    dispatcher, one = begun(sessions, FakeWorkers())
    dispatcher._rules = replace(RULES, drain_s=600.0)
    stop, began = threading.Event(), time.monotonic()
    stop.set()
    with locked(sessions, one):
        dispatcher.run(stop, 0.0)
    assert time.monotonic() - began < 300
    assert look(sessions, one).running > 0


def test_after_a_failed_turn_a_locked_sweep_is_tried_once(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many answers of it are deferred."""
    dispatcher = Dispatcher(sessions, FakeWorkers(8), RULES, "me")
    one = submit(sessions, seeds=36)
    run(dispatcher, 2)
    turns = 0
    turn = dispatcher._turn

    def counted(*args: Any, **kwargs: Any) -> None:
        nonlocal turns
        turns += 1
        turn(*args, **kwargs)

    with locked(sessions, one):
        run(dispatcher, 2)
        assert len(dispatcher._deferred) == 8
        dispatcher._one_by_one = True
        monkeypatch.setattr(dispatcher, "_turn", counted)
        run(dispatcher, 1)
    assert turns == 2
    run(dispatcher, 150)
    whole(sessions, one)


def test_marks_of_many_sweeps_are_locked_at_once(sessions: Sessions, engine: Engine) -> None:
    """One worker holds all that there is of eight; all of them are due in one turn."""
    some = [submit(sessions, grid={}, seeds=2, cohort=2) for _ in range(8)]
    workers = Answering(lambda *_: None)
    dispatcher = Dispatcher(sessions, workers, replace(RULES, lanes=64), "me")
    run(dispatcher, 2)
    assert [look(sessions, sweep).running for sweep in some] == [4] * 8
    held = tuple(sorted(dispatcher._peers["worker-1"].held))
    half = Return(held=held, steps=(100,) * len(held), lane_steps=100 * len(held), seconds=1.0)
    workers.replies.append(Reply("worker-1", value=half))
    asked = 0

    def hear(*told: Any) -> None:
        nonlocal asked
        asked += "SKIP LOCKED" in told[2]

    event.listen(engine, "before_cursor_execute", hear)
    dispatcher.tick(0.0)
    event.remove(engine, "before_cursor_execute", hear)
    with sessions() as session:
        assert all(len((forecasts.recall(session, s) or {})["marks"]) == 1 for s in some)
    assert asked == 1


def test_a_dispatcher_that_stops_waits_for_it_as_for_its_workers(sessions: Sessions) -> None:
    """And what is still locked then is left to its successor."""
    workers = FakeWorkers()
    sweep = submit(sessions)
    dispatcher = Dispatcher(sessions, workers, replace(RULES, drain_s=0.3), "me")
    run(dispatcher, 2)
    running = look(sessions, sweep).running

    class Told:
        def is_set(self) -> bool:
            return True

    with locked(sessions, sweep):
        with capture_logs() as logged:
            dispatcher.run(Told(), 0.0)  # type: ignore[arg-type]
        assert look(sessions, sweep).running == running
    assert logged[-1] == {
        "event": "dispatcher_stopped",
        "handed_back": 0,
        "locked": [sweep],
        "log_level": "info",
    }
    with sessions() as session:
        assert not lease.taken(session, LEASE, "second", lease.clock(session, loop.now()))
    run(Dispatcher(sessions, FakeWorkers(), RULES, "second"))
    assert look(sessions, sweep).state == "finished"
    check_counters(sessions, sweep)


def test_deferred_news_that_the_store_refuses_costs_nobody_else(
    engine: Engine, sessions: Sessions
) -> None:
    """Its trial is tried again as one whose worker was lost; answers beside it are recorded."""
    faulty, workers = Faulty(engine), FakeWorkers()
    one = submit(sessions)
    dispatcher = Dispatcher(faulty, workers, RULES, "me")  # type: ignore[arg-type]
    run(dispatcher, 2)
    refuse = [True, True]

    def refused(statement: str) -> Exception | None:
        if statement.startswith("INSERT INTO outcomes") and refuse:
            refuse.pop()
            return DataError(statement, {}, Exception("value too long"))
        return None

    with locked(sessions, one):
        run(dispatcher, 2)
        faulty.fail_statements = refused
    with pytest.raises(DataError):
        dispatcher.tick(0.0)
    run(dispatcher)
    assert not refuse
    assert workers.discarded == []
    assert look(sessions, one).state == "finished"
    check_counters(sessions, one)
    with sessions() as session:
        assert session.scalar(select(func.sum(trials.c.losses))) > 0


def test_a_class_is_offered_once_its_sweep_is_free(sessions: Sessions) -> None:
    """Workers are of the former class again: the paused sweep goes on by itself."""
    _, one = begun(sessions, FakeWorkers())
    end_lease(sessions)
    run(Dispatcher(sessions, FakeWorkers(numerics=NUMERICS | {"code": "two"}), RULES, "b"), 3)
    assert look(sessions, one).state == "paused"
    end_lease(sessions)
    third = Dispatcher(sessions, FakeWorkers(), RULES, "c")
    with locked(sessions, one):
        run(third, 3)
        assert look(sessions, one).state == "paused"
    run(third)
    assert look(sessions, one).state == "finished"


def test_locks_pass_what_others_have_and_remember_it(sessions: Sessions) -> None:
    one, other = submit(sessions), submit(sessions)
    with sessions.begin() as session:
        locks = Locks(session)
        with locked(sessions, one):
            assert locks.free([one, other, "gone"]) == {other, "gone"}
        assert locks.free([one, other]) == {other}
        assert locks.passed == {one}
        assert Locks(session).has(one)

"""The dispatcher against a real store and made-up workers: losses, lies and late answers."""

import threading

import pytest
from sqlalchemy.orm import Session, sessionmaker

from models.catalog import experiment, experiments
from models.experiment import LiftedExperiment
from service.dispatch.loop import Dispatcher, LeaseLostError, await_lease, now
from service.store import lease, sweeps
from tests.service.dispatch.stand_ins import (
    RULES,
    Clock,
    FakeWorkers,
    end_lease,
    look,
    run,
    submit,
)
from tests.service.samples import NUMERICS, moment
from workers.messages import Order, Return
from workers.pool import Reply


def test_a_sweep_is_claimed_trained_and_recorded(sessions: sessionmaker[Session]) -> None:
    sweep = submit(sessions)
    run(Dispatcher(sessions, FakeWorkers(), RULES, "me"))
    now = look(sessions, sweep)
    assert (now.state, now.ended, now.settled_cohorts) == ("finished", 24, 3)


def test_the_trials_of_a_lost_worker_run_again(sessions: sessionmaker[Session]) -> None:
    sweep, workers = submit(sessions), FakeWorkers()
    workers.kill_next = 3
    run(Dispatcher(sessions, workers, RULES, "me"))
    assert look(sessions, sweep).state == "finished"
    assert len(workers.discarded) == 3
    assert workers.spawned == 5


def test_an_attempt_that_raises_is_tried_again_and_then_errored(
    sessions: sessionmaker[Session],
) -> None:
    sweep, workers = submit(sessions, grid={}, seeds=1, cohort=1), FakeWorkers(1)
    workers.fail_next = 2
    run(Dispatcher(sessions, workers, RULES, "me"))
    now = look(sessions, sweep)
    assert (now.state, [a.ended["errored"] for a in now.arms]) == ("finished", [1, 1])


def test_what_an_earlier_dispatcher_held_is_taken_over(sessions: sessionmaker[Session]) -> None:
    sweep, workers = submit(sessions), FakeWorkers()
    first = Dispatcher(sessions, workers, RULES, "first")
    first.tick(0.0)
    first.tick(0.0)
    assert look(sessions, sweep).running > 0
    late = list(workers.replies)
    end_lease(sessions)
    second = Dispatcher(sessions, FakeWorkers(), RULES, "second")
    second.tick(0.0)
    assert look(sessions, sweep).running > 0  # claimed anew
    run(second)
    before = look(sessions, sweep)
    end_lease(sessions)
    workers.replies = late
    first.tick(0.0)  # a zombie: its outcomes are refused
    assert look(sessions, sweep) == before
    assert before.state == "finished"


def test_a_change_of_code_pauses_the_sweep_until_it_is_accepted(
    sessions: sessionmaker[Session],
) -> None:
    sweep = submit(sessions)
    first = Dispatcher(sessions, FakeWorkers(), RULES, "first")
    first.tick(0.0)
    first.tick(0.0)
    end_lease(sessions)
    workers = FakeWorkers(numerics=NUMERICS | {"code": "two"})
    second = Dispatcher(sessions, workers, RULES, "second")
    run(second, 5)
    with sessions() as session:
        view = sweeps.show(session, sweep)
    assert (view.state, view.reason) == ("paused", sweeps.CODE_CHANGED)
    assert workers.orders == []
    with sessions.begin() as session:
        sweeps.resume(session, sweep, accept_class=view.offered_class)
    run(second)
    with sessions() as session:
        view = sweeps.show(session, sweep)
    assert (view.state, len(view.classes)) == ("finished", 2)


def test_cancelled_trials_are_dropped_by_the_worker_that_holds_them(
    sessions: sessionmaker[Session],
) -> None:
    sweep, workers = submit(sessions), FakeWorkers(1)

    def hold(worker: str, order: Order) -> None:
        workers.orders.append((worker, order))
        held = {(a.trial, a.attempt) for _, o in workers.orders for a in o.add}
        kept = tuple(sorted(held - set(order.cancel)))
        workers.replies.append(Reply(worker, value=Return(dropped=order.cancel, held=kept)))

    workers.send = hold  # type: ignore[method-assign]
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    run(dispatcher, 4)
    assert look(sessions, sweep).running > 0
    with sessions.begin() as session:
        sweeps.cancel(session, sweep, now=moment())
    run(dispatcher, 4)
    now = look(sessions, sweep)
    assert (now.state, now.running, now.ended) == ("cancelled", 0, 24)


def test_a_worker_that_dies_before_it_is_known_is_not_started_at_once_again(
    sessions: sessionmaker[Session], clock: Clock
) -> None:
    """But after two seconds."""
    workers = FakeWorkers(1)
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    dispatcher._peers = dispatcher._fleet.adjust({})
    workers.replies = [Reply("worker-1", lost="no torch")]
    clock.now += 1.9
    run(dispatcher, 5)
    assert workers.spawned == 1
    assert dispatcher.announcement().workers == 0
    clock.now += 2.0
    run(dispatcher, 1)
    assert workers.spawned == 2


def test_stopping_hands_running_trials_back_and_gives_the_lease_up(
    sessions: sessionmaker[Session],
) -> None:
    sweep, workers, stop = submit(sessions), FakeWorkers(), threading.Event()

    def hold(worker: str, order: Order) -> None:
        held = tuple((a.trial, a.attempt) for a in order.add)
        workers.replies.append(Reply(worker, value=Return(held=held)))
        stop.set()

    workers.send = hold  # type: ignore[method-assign]
    Dispatcher(sessions, workers, RULES, "me").run(stop, 0.0)
    assert look(sessions, sweep).running == 0
    with sessions.begin() as session:
        assert lease.acquire(session, "dispatcher", "other", 1, moment())


def test_a_dispatcher_whose_lease_was_taken_stops(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        assert lease.acquire(session, "dispatcher", "other", 60, now())
    with pytest.raises(LeaseLostError):
        Dispatcher(sessions, FakeWorkers(), RULES, "me").run(threading.Event(), 0.0)


def test_waiting_for_a_lease_ends_when_told_to_stop(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        assert lease.acquire(session, "dispatcher", "other", 60, now())
    stop, said = threading.Event(), []

    def say(line: str) -> None:
        said.append(line)
        stop.set()

    assert not await_lease(sessions, "me", stop, say)
    assert "another dispatcher" in said[0]


def test_where_code_was_changed_back_the_sweep_goes_on(
    sessions: sessionmaker[Session],
) -> None:
    """Three services in a row: of one class, of another, and of the first again."""
    sweep = submit(sessions)
    run(Dispatcher(sessions, FakeWorkers(), RULES, "one"), 2)
    end_lease(sessions)
    two = FakeWorkers(numerics=NUMERICS | {"code": "two"})
    run(Dispatcher(sessions, two, RULES, "two"), 5)
    end_lease(sessions)
    with sessions() as session:
        assert sweeps.show(session, sweep).state == "paused"
    back = Dispatcher(sessions, FakeWorkers(), RULES, "back")
    run(back)
    with sessions() as session:
        view = sweeps.show(session, sweep)
    assert (view.state, len(view.classes)) == ("finished", 1)


def test_the_tile_completes_each_experiments_numerics_class(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lifted experiments run in tiles of 8, which is part of what their results depend on."""
    lifted = LiftedExperiment(**(vars(experiment("deep_mlp")) | {"name": "lifted", "tile": 8}))
    installed = {**experiments(), "lifted": lifted}
    monkeypatch.setattr("service.dispatch.peers.experiments", lambda: installed)
    dispatcher = Dispatcher(sessions, FakeWorkers(1), RULES, "me")
    run(dispatcher, 3)
    [peer] = dispatcher._peers.values()
    assert {name: found["tile"] for name, found in peer.numerics.items()} == {
        "deep_mlp": "any",
        "neural_gpu": "any",
        "lifted": "8",
    }
    assert peer.classes["lifted"] != peer.classes["deep_mlp"]

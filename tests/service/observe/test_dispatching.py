"""What a dispatcher does is counted once it is committed, and what it has is shown as it is."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.loop import Dispatcher, LeaseLostError
from service.observe.dispatching import DispatchMetrics
from service.observe.exposition import new_registry
from service.store.engine import session_factory
from tests.service.dispatch.stand_ins import (
    RULES,
    Answering,
    FakeWorkers,
    end_lease,
    run,
    submit,
)
from tests.service.samples import outcome
from workers.messages import Order, Return
from workers.pool import Reply

Value = Callable[..., float | None]


@pytest.fixture
def sessions(sqlite: Engine) -> sessionmaker[Session]:
    """Sessions of a SQLite store."""
    return session_factory(sqlite)


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty one."""
    return new_registry()


@pytest.fixture
def value(registry: CollectorRegistry) -> Value:
    """A sample's value."""
    return lambda name, **labels: registry.get_sample_value(f"seedbed_{name}", labels)


def slow(worker: str, order: Order) -> Reply:
    """Ends half of what it is given and keeps the rest."""
    done = order.add[: len(order.add) // 2]
    kept = tuple((a.trial, a.attempt) for a in order.add[len(done) :])
    value = Return(outcomes=tuple(map(outcome, done)), held=kept, lane_steps=800, seconds=2.0)
    return Reply(worker, value=value)


def test_a_sweep_that_is_trained_is_counted(
    sessions: sessionmaker[Session], registry: CollectorRegistry, value: Value
) -> None:
    submit(sessions)
    workers = FakeWorkers()
    run(Dispatcher(sessions, workers, RULES, "me", watch=DispatchMetrics(registry)))
    assert value("claims_total") == value("outcomes_total", end_state="finished") == 24
    assert value("turn_duration_seconds_count") > 6
    assert (value("workers_ready"), value("workers_wanted")) == (2, 2)
    assert (value("lane_places"), value("lanes_held"), value("dispatcher_active")) == (8, 0, 1)
    assert value("last_claim_timestamp_seconds") > 1e9
    assert value("attempts_raised_total") == value("workers_lost_total") == 0


def test_lanes_that_are_held_and_steps_that_were_trained_are_told(
    sessions: sessionmaker[Session], registry: CollectorRegistry, value: Value
) -> None:
    submit(sessions)
    metrics = DispatchMetrics(registry)
    dispatcher = Dispatcher(sessions, Answering(slow), RULES, "me", watch=metrics)
    dispatcher.tick(0.0)  # it introduces itself, and gets what its lanes hold
    assert value("lanes_held") == 4
    assert value("lane_occupancy_ratio") == 1.0
    dispatcher.tick(0.0)
    assert (value("lane_steps_total"), value("training_seconds_total")) == (800, 2.0)


def test_losses_raises_and_late_writes_are_counted_apart(
    sessions: sessionmaker[Session], registry: CollectorRegistry, value: Value
) -> None:
    submit(sessions)
    workers = FakeWorkers()
    workers.kill_next, workers.fail_next = 2, 1
    run(Dispatcher(sessions, workers, RULES, "me", watch=DispatchMetrics(registry)))
    assert value("workers_lost_total") == 2
    assert value("trials_lost_total") > 0
    assert value("attempts_raised_total") > 0
    assert value("late_writes_refused_total") == 0


def test_a_dispatcher_that_is_superseded_says_that_it_is_not_active(
    sessions: sessionmaker[Session], registry: CollectorRegistry, value: Value
) -> None:
    import threading  # noqa: PLC0415 - only here

    submit(sessions)
    first = Dispatcher(sessions, FakeWorkers(), RULES, "a", watch=DispatchMetrics(registry))
    run(first, 3)
    assert value("dispatcher_active") == 1
    end_lease(sessions)
    run(Dispatcher(sessions, FakeWorkers(), RULES, "b"), 1)
    with pytest.raises(LeaseLostError):
        first.run(threading.Event())
    assert (value("dispatcher_active"), value("workers_ready")) == (0, 0)

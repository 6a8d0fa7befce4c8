"""Real processes that two trials kill, one after another, under a real dispatcher."""

import os
import signal
import threading
from typing import Any

import pytest
from sqlalchemy import Engine

from service.dispatch.loop import Dispatcher, Rules
from service.store.engine import session_factory
from service.store.suspicion import MOST_LOSSES
from tests.service.dispatch.stand_ins import look, submit
from tests.service.samples import NUMERICS
from workers import pool as pools
from workers.messages import MetricRecord, Order, Outcome, Return, WorkerDescription

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


def deadly() -> type[Any]:
    """A worker whose process dies of two trials; made here, so that Ray sends it whole."""
    numerics = dict(NUMERICS)

    class Worker:
        def __init__(self, device: str) -> None:
            self.device = device

        def describe(self, workers: int = 1) -> WorkerDescription:
            return WorkerDescription(numerics, node=str(os.getpid()))

        def advance(self, order: Order) -> Return:
            if any(a.seed == 3 and a.values["noise_eta"] for a in order.add):
                os._exit(1)
            if any(a.seed == 7 and not a.values["noise_eta"] for a in order.add):
                os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory runs out
            metrics = {"test_accuracy": MetricRecord(0.5, 0.5, 200)}
            return Return(
                outcomes=tuple(
                    Outcome(a.trial, a.attempt, "finished", 200, metrics, b"", "f")
                    for a in order.add
                )
            )

    return Worker


def test_processes_that_die_of_two_trials_cost_only_these_trials(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "Worker", deadly())
    sessions = session_factory(sqlite)
    sweep = submit(sessions, grid={}, seeds=10, cohort=5)
    pool = pools.Pool(2)
    pool.start()
    dispatcher = Dispatcher(sessions, pool, Rules(16, 1.0, 3), "me")

    class Ended(threading.Event):
        def is_set(self) -> bool:
            return look(sessions, sweep).state == "finished"

    try:
        dispatcher.run(Ended(), 0.2)
    finally:
        pool.stop()
    now = look(sessions, sweep)
    assert [a.ended["errored"] for a in now.arms] == [1, 1]
    assert sum(a.ended["finished"] for a in now.arms) == 18
    assert MOST_LOSSES < pool._spawned <= 2 + 2 * MOST_LOSSES

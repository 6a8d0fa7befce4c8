"""Real processes that a trial kills, one after another, under a real dispatcher."""

import os
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
    """A worker whose process dies of seed 3; made here, so that Ray sends it whole."""
    numerics = dict(NUMERICS)

    class Worker:
        def __init__(self, device: str, workers: int = 1) -> None:
            self.device = device

        def describe(self) -> WorkerDescription:
            return WorkerDescription(numerics, node=str(os.getpid()))

        def advance(self, order: Order) -> Return:
            if any(a.seed == 3 and a.values["noise_eta"] for a in order.add):
                os._exit(1)
            metrics = {"test_accuracy": MetricRecord(0.5, 0.5, 200)}
            return Return(
                outcomes=tuple(
                    Outcome(a.trial, a.attempt, "finished", 200, metrics, b"", "f")
                    for a in order.add
                )
            )

    return Worker


def test_processes_that_die_of_one_trial_cost_only_that_trial(
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
    assert [a.ended["errored"] for a in now.arms] == [0, 1]
    assert sum(a.ended["finished"] for a in now.arms) == 19
    assert pool._spawned in (1 + MOST_LOSSES, 2 + MOST_LOSSES)  # the last needs no other

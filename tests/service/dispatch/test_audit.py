"""A worker whose outcomes are wrong, on real parts: store, dispatcher, report and API's words."""

import random
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.loop import Dispatcher, Rules
from service.report.audit import audit_of
from service.report.build import build
from service.report.markdown import render_markdown
from tests.service.dispatch.stand_ins import FakeWorkers, look, submit
from tests.service.samples import outcome
from workers.messages import Assignment, MetricRecord, Order, Outcome, Return, WorkerDescription
from workers.pool import Reply

pytestmark = pytest.mark.usefixtures("one_hour")
SIZE = 8
LANES = 16
RATE = 0.05


class Flipping(FakeWorkers):
    """Workers whose trials succeed by their key; the first one flips a share of its outcomes."""

    def __init__(self, flips: float) -> None:
        super().__init__(SIZE)
        self._flips, self._draw = flips, random.Random(4)

    def spawn(self) -> str:
        name = super().spawn()
        told = WorkerDescription(self.numerics, node=name, device=f"host gpu-{self.spawned % 4}")
        self.replies[-1] = Reply(name, value=told)
        return name

    def answer(self, worker: str, order: Order) -> Reply:
        done = [self._outcome(worker, a, row) for row, a in enumerate(order.add)]
        return Reply(worker, value=Return(outcomes=tuple(done)))

    def _outcome(self, worker: str, task: Assignment, row: int) -> Outcome:
        key = f"{task.setting}/{task.seed}/{sorted(task.values.items())}"
        won = random.Random(key).random() < RATE
        if worker == "worker-1" and self._draw.random() < self._flips:
            won = not won
        value = 0.95 if won else 0.6
        metrics = {"test_accuracy": MetricRecord(value, value, 200)}
        return replace(outcome(task), metrics=metrics, pack=1, lane=row % LANES)


def swept(sessions: sessionmaker[Session], flips: float) -> tuple[str, dict[str, Any]]:
    """A whole sweep of 300 trials a worker, and its audit."""
    sweep = submit(sessions, seeds=600, cohort=100)
    dispatcher = Dispatcher(sessions, Flipping(flips), Rules(LANES, 1.0, 2), "me")
    while look(sessions, sweep).state != "finished":
        dispatcher.tick(0.0)
    with sessions() as session:
        return sweep, audit_of(session, sweep)


def test_a_worker_that_flips_a_fifth_of_its_outcomes_is_flagged_within_300_of_its_trials(
    sessions: sessionmaker[Session],
) -> None:
    """And nothing else is; the report says so in words, and its findings do not know of it."""
    sweep, found = swept(sessions, 0.2)
    [flag] = found["flags"]
    assert (flag["factor"], flag["level"]) == ("worker", "worker-1")
    assert flag["trials"] <= 310
    assert flag["q"] < 0.001
    facts = {f["factor"]: f for f in found["factors"]}
    assert (facts["worker"]["levels"], facts["device"]["levels"], facts["lane"]["levels"]) == (
        8,
        4,
        16,
    )
    assert facts["pack"]["same_as"] == "worker"
    with sessions() as session:
        report = build(session, sweep)
    said = render_markdown(report)
    assert "**Audit**: 1 place stands out beyond chance" in said
    assert f"worker worker-1: {flag['observed']} of {flag['trials']} trials succeeded" in said
    assert "audit" not in report.findings
    assert report.run_log["audit"]["flags"] == [flag]


def test_honest_workers_are_not_flagged(sessions: sessionmaker[Session]) -> None:
    _, found = swept(sessions, 0.0)
    assert found["flags"] == []
    assert found["conclusion"].startswith(
        "nothing stands out among 8 workers, 4 devices, 16 lanes"
    ), found["conclusion"]
    assert found["trials"] == 2400


@pytest.mark.parametrize("settled", [0, 1])
def test_only_settled_trials_are_audited(sessions: sessionmaker[Session], settled: int) -> None:
    sweep = submit(sessions)
    dispatcher = Dispatcher(sessions, FakeWorkers(), Rules(4, 1.0, 2), "me")
    while look(sessions, sweep).settled_cohorts < settled:
        dispatcher.tick(0.0)
    with sessions() as session:
        assert audit_of(session, sweep)["trials"] == 8 * settled

"""A sweep whose first trials all die the same way is paused, and goes on if that is wanted."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.api.views import sweep_json
from service.dispatch.loop import Dispatcher, Rules
from service.store import sweeps
from service.store.engine import session_factory
from service.store.failing import LEAST, Fallen, common_error
from service.store.progress import progress
from tests.service.dispatch.stand_ins import Answering, look, run, submit
from tests.service.samples import outcome
from workers.messages import Assignment, Failure, Order, Return
from workers.pool import Reply

Sessions = sessionmaker[Session]
RULES = Rules(lanes=16, slice_s=1.0, max_attempts=3)


class Raising:
    """Workers whose trials raise what `error` says, and finish where that is None."""

    def __init__(self) -> None:
        self.attempts = 0

    def error(self, task: Assignment) -> str | None:
        return f"RuntimeError: shape {task.seed} x 3 does not fit"

    def __call__(self, worker: str, order: Order) -> Reply | None:
        self.attempts += len(order.add)
        raised = [(task, self.error(task)) for task in order.add]
        done = tuple(outcome(task) for task, error in raised if error is None)
        failures = tuple(
            Failure(task.trial, task.attempt, error, "Traceback")
            for task, error in raised
            if error is not None
        )
        return Reply(worker, value=Return(outcomes=done, failures=failures))


def view(sessions: Sessions, sweep: str) -> sweeps.SweepView:
    with sessions() as session:
        return sweeps.show(session, sweep)


@pytest.mark.parametrize("workers", [1, 3])
def test_it_is_paused_after_a_pack_says_why_and_resume_goes_on(
    engine: Engine, workers: int
) -> None:
    sessions = session_factory(engine)
    sweep = submit(sessions, seeds=500, cohort=100)
    broken = Raising()
    dispatcher = Dispatcher(sessions, Answering(broken, workers), RULES, "me")
    run(dispatcher, 30)
    found = view(sessions, sweep)
    assert (found.state, found.reason) == ("paused", sweeps.FAILING)
    assert broken.attempts <= 2 * workers * 2 * RULES.lanes
    with sessions() as session:
        shown = sweep_json(found, progress(session, sweep), None)
    assert "does not fit" in shown["failing"]
    assert f"seedbed resume {sweep}" in shown["cure"]
    with sessions.begin() as session:
        sweeps.resume(session, sweep)
    run(dispatcher, 30)
    again = view(sessions, sweep)
    assert (again.state, again.reason) == ("running", None)
    assert sum(arm.ended["errored"] for arm in look(sessions, sweep).arms) > RULES.lanes


def test_one_success_among_the_first_lets_it_go_on(sessions: Sessions) -> None:
    class Most(Raising):
        def error(self, task: Assignment) -> str | None:
            return None if task.seed == 1 else super().error(task)

    sweep = submit(sessions, seeds=50, cohort=10)
    run(Dispatcher(sessions, Answering(Most(), 1), RULES, "me"), 200)
    assert look(sessions, sweep).state == "finished"


def test_different_errors_are_no_pattern(sessions: Sessions) -> None:
    class Several(Raising):
        def error(self, task: Assignment) -> str | None:
            return "ValueError: a" if task.seed % 2 else "KeyError: b"

    sweep = submit(sessions, seeds=50, cohort=10)
    run(Dispatcher(sessions, Answering(Several(), 1), RULES, "me"), 200)
    now = look(sessions, sweep)
    assert (now.state, now.arms[0].ended["errored"]) == ("finished", 100)


def test_a_sweep_that_kills_every_worker_is_paused(sessions: Sessions) -> None:
    """One poison among them is parted instead (test_poison); here all of them are."""
    sweep = submit(sessions, seeds=500, cohort=100)
    deaths = []

    def die(worker: str, order: Order) -> Reply | None:
        deaths.append(worker)
        return Reply(worker, lost="killed")

    run(Dispatcher(sessions, Answering(die, 2), RULES, "me"), 60)
    found = view(sessions, sweep)
    assert (found.state, found.reason) == ("paused", sweeps.FAILING)
    assert found.failing is not None
    assert "worker_lost" in found.failing
    assert len(deaths) < 30


def test_few_deaths_are_no_pattern() -> None:
    died, lives = Fallen(1, "E: seed 3"), Fallen(0, None)
    assert common_error([died] * (LEAST - 1)) is None
    assert common_error([died] * LEAST) == "E: seed 3"
    assert common_error([died] * LEAST + [lives]) is None
    assert common_error([died] * LEAST + [Fallen(2, "E: seed 12")]) == "E: seed 3"
    assert common_error([died] * LEAST + [Fallen(1, "F: seed 3")]) is None

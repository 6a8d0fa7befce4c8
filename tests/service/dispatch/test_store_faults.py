"""A store that fails at the worst moments costs nothing; a reply that it refuses, one worker."""

import contextlib
import random
import threading
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import DataError, TimeoutError  # noqa: A004 - SQLAlchemy's name
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from service.dispatch import loop
from service.dispatch.faults import MOST_FAILED, pause_s, unreachable
from service.dispatch.loop import Dispatcher
from service.store import claims
from service.store.engine import session_factory
from service.store.tables import outcomes, trials
from service.store.tables import sweeps as rows
from tests.service.dispatch.stand_ins import (
    RULES,
    Answering,
    Clock,
    FakeWorkers,
    Faulty,
    gone,
    look,
    submit,
)
from tests.service.samples import moment, outcome
from tests.service.store.test_conformance import check_counters
from workers.messages import Failure, Order, Return
from workers.pool import Reply


def tick(dispatcher: Dispatcher, times: int = 1) -> None:
    """Rounds; what a round raises is for the next one to mend, as `run` has it."""
    for _ in range(times):
        try:
            dispatcher.tick(0.0)
        except Exception as error:
            if not unreachable(error):
                raise


def running(engine: Engine) -> int:
    """Rows that say that they run."""
    with engine.connect() as connection:
        query = select(func.count()).select_from(trials).where(trials.c.state == "running")
        return int(connection.scalar(query) or 0)


def test_an_error_after_trials_got_their_rows_loses_nothing(engine: Engine) -> None:
    """Claims of two workers are one turn: all are sent, or none is claimed."""
    faulty, workers = Faulty(engine), FakeWorkers(2)
    sweep = submit(session_factory(engine))
    dispatcher = Dispatcher(faulty, workers, RULES, "me")  # type: ignore[arg-type]
    claimed = []

    def after_the_rows(statement: str) -> Exception | None:
        if statement.startswith("INSERT INTO trials"):
            claimed.append(statement)
        if statement.startswith("UPDATE arms") and len(claimed) == 1:
            claimed.append(statement)
            return gone()
        return None

    faulty.fail_statements = after_the_rows
    tick(dispatcher, 1)
    assert (running(engine), workers.orders) == (0, [])
    tick(dispatcher, 30)
    assert len(claimed) > 2
    assert look(session_factory(engine), sweep).state == "finished"
    assert running(engine) == 0


@pytest.mark.parametrize("lost", range(1, 5))
def test_a_commit_whose_acknowledgement_is_lost_leaves_no_trial_behind(
    engine: Engine, lost: int
) -> None:
    """Whichever commits are lost: introductions, claims, outcomes, several in a row."""
    faulty, workers = Faulty(engine), FakeWorkers(2)
    sweep = submit(session_factory(engine))
    dispatcher = Dispatcher(faulty, workers, RULES, "me")  # type: ignore[arg-type]
    for turn in range(40):
        faulty.lose_commits = int(turn in (lost, lost + 1, lost + 3))
        tick(dispatcher)
    now = look(session_factory(engine), sweep)
    assert (now.state, now.ended, running(engine)) == ("finished", 24, 0)
    check_counters(session_factory(engine), sweep)


def test_what_runs_but_is_held_by_nobody_is_found_without_any_error(
    engine: Engine, clock: Clock
) -> None:
    """From time to time the store is compared with what workers hold."""
    writing, workers = session_factory(engine), FakeWorkers(1)
    sweep = submit(writing)
    dispatcher = Dispatcher(writing, workers, RULES, "me")
    tick(dispatcher, 2)
    with writing.begin() as session:
        assert claims.claim(session, sweep, 0, 2, worker="nobody", now=moment())
    tick(dispatcher, 20)
    assert running(engine) == 2
    clock.now += loop.RECONCILE_S + 1.0
    tick(dispatcher, 20)
    assert look(writing, sweep).state == "finished"


def test_a_store_out_of_connections_is_waited_for() -> None:
    assert unreachable(TimeoutError("QueuePool limit of size 5 overflow 10 reached"))
    assert not unreachable(KeyError("a mistake"))
    assert [pause_s(n) for n in (1, 2, 3, 2000)] == [1, 2, 4, 32]


def test_a_sweep_deleted_between_the_queues_and_the_claim_is_passed_over(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = session_factory(engine)
    kept, gone_soon = submit(writing), submit(writing)
    sound = loop.Turn._claim

    def late(turn: Any, group: Any) -> Any:
        if group[0].sweep == gone_soon:
            turn._session.execute(rows.delete().where(rows.c.id == gone_soon))
        return sound(turn, group)

    monkeypatch.setattr(loop.Turn, "_claim", late)
    tick(Dispatcher(writing, FakeWorkers(1), RULES, "me"), 30)
    assert look(writing, kept).state == "finished"


NASTY = "NUL \0, a lone surrogate \ud800, and more"


def test_a_failure_of_any_text_is_stored_readably(engine: Engine) -> None:
    writing = session_factory(engine)
    sweep = submit(writing, grid={}, seeds=1, cohort=1)

    def answer(worker: str, order: Order) -> Reply:
        failed = (Failure(a.trial, a.attempt, NASTY, NASTY) for a in order.add)
        return Reply(worker, value=Return(failures=tuple(failed)))

    tick(Dispatcher(writing, Answering(answer), RULES, "me"), 10)
    assert look(writing, sweep).state == "finished"
    with writing() as session:
        for row in session.execute(select(trials)):
            assert row.error == row.traceback
            assert row.error == "NUL \\x00, a lone surrogate \\ud800, and more"


def test_an_answer_that_the_store_refuses_costs_its_worker_and_nobody_else(engine: Engine) -> None:
    """One trial's outcome can never be written: it is errored in the end, the others finish."""
    faulty = Faulty(engine)
    writing = session_factory(engine)
    sweep = submit(writing, grid={}, seeds=6, cohort=6)

    def answer(worker: str, order: Order) -> Reply:
        done = tuple(
            outcome(a, fingerprint="0" * 999 if (a.seed, a.values["noise_eta"]) == (3, 0.0) else "")
            for a in order.add
        )
        return Reply(worker, value=Return(outcomes=done))

    def refuse(_c: Any, _k: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("INSERT INTO outcomes") and "0" * 999 in str(parameters):
            raise DataError(statement, {}, Exception("value too long"))

    event.listen(engine, "before_cursor_execute", refuse)
    workers = Answering(answer, 2)
    dispatcher = Dispatcher(faulty, workers, RULES, "me")  # type: ignore[arg-type]
    with capture_logs() as logged:
        for _ in range(80):
            with contextlib.suppress(DataError):
                dispatcher.tick(0.0)
    assert all(line["exc_info"] for line in logged if line["event"] == "answer_refused")
    now = look(writing, sweep)
    assert now.state == "finished"
    assert sum(a.ended["errored"] for a in now.arms) == 1
    assert sum(a.ended["finished"] for a in now.arms) == 11
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(outcomes)) == 11


def test_a_mistake_in_the_code_is_not_borne_for_ever(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged and tried again a few times, and then it ends the service, where it is seen."""
    submit(sessions)
    seen = []

    def broken(*_: Any) -> None:
        seen.append(1)
        raise KeyError("a mistake")

    monkeypatch.setattr(loop.Turn, "order", broken)
    monkeypatch.setattr(loop, "pause_s", lambda _: 0.0)
    with capture_logs() as logged, pytest.raises(KeyError, match="a mistake"):
        Dispatcher(sessions, FakeWorkers(), RULES, "me").run(threading.Event(), 0.0)
    assert len(seen) == MOST_FAILED
    assert [line["event"] for line in logged].count("turn_failed") == MOST_FAILED - 1


def test_the_dispatcher_outlives_a_store_that_comes_and_goes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through `run`: broken connections and an empty pool, at statements drawn by lot."""
    monkeypatch.setattr(loop, "pause_s", lambda _: 0.0)
    faulty, writing = Faulty(engine), session_factory(engine)
    sweep, dice, raised = submit(writing), random.Random(3), []

    def flaky(statement: str) -> Exception | None:
        if len(raised) < 30 and dice.random() < 0.05:
            raised.append(statement)
            return (TimeoutError("pool"), gone())[len(raised) % 2]
        return None

    class Ended(threading.Event):
        def is_set(self) -> bool:
            return len(raised) == 30 and look(writing, sweep).state == "finished"

    faulty.fail_statements = flaky
    dispatcher = Dispatcher(faulty, FakeWorkers(2), RULES, "me")  # type: ignore[arg-type]
    dispatcher.run(Ended(), 0.0)
    assert look(writing, sweep).ended == 24
    check_counters(writing, sweep)

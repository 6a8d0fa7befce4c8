"""A worker that hangs is lost after a generous while; its trials run elsewhere."""

from dataclasses import replace

from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.loop import Dispatcher
from service.dispatch.patience import FIRST, TIMES, patience_s
from tests.service.dispatch.stand_ins import RULES, Answering, look, run, submit
from tests.service.samples import outcome
from workers.messages import Order, Return
from workers.pool import Reply


def test_patience_is_generous_and_more_so_for_a_first_call() -> None:
    """A first call may compile or load data; later ones are measured by the longest so far."""
    assert patience_s(600, 1, None) == FIRST * 600
    assert patience_s(600, 1, 2.0) == 600
    assert patience_s(600, 1, 100.0) == TIMES * 101
    assert patience_s(600, 600, None) == TIMES * 600


def test_a_worker_that_hangs_is_ended_and_its_trials_run_elsewhere(
    sessions: sessionmaker[Session],
) -> None:
    sweep = submit(sessions)

    def answer(worker: str, order: Order) -> Reply | None:
        if worker == "worker-1":
            return None
        return Reply(worker, value=Return(outcomes=tuple(outcome(a) for a in order.add)))

    workers = Answering(answer, 2)
    rules = replace(RULES, slice_s=0.0, patience_s=1e-9)
    run(Dispatcher(sessions, workers, rules, "me"))
    assert workers.discarded == ["worker-1"]
    assert look(sessions, sweep).state == "finished"


def test_a_slow_worker_is_left_alone(sessions: sessionmaker[Session]) -> None:
    submit(sessions)
    workers = Answering(lambda _w, _o: None, 1)
    run(Dispatcher(sessions, workers, RULES, "me"), 20)
    assert workers.discarded == []
    assert len(workers.orders) == 1

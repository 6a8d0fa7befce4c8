"""How far running trials are, told apart by sweep."""

from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.loop import Dispatcher, Rules
from service.dispatch.telemetry import Telemetry
from tests.service.dispatch.stand_ins import Answering, run, submit
from tests.service.samples import outcome
from workers.messages import Order, Return
from workers.pool import Reply


def test_running_trials_of_each_sweep_are_so_far(sessions: sessionmaker[Session]) -> None:
    """Two sweeps ride in one pack; half of the first ends, the rest is half way."""
    one = submit(sessions, grid={}, seeds=2, cohort=2)
    two = submit(sessions, grid={}, seeds=1, cohort=1)
    held = []

    def answer(worker: str, order: Order) -> Reply:
        held.extend(order.add)
        if len(held) < 6 or not order.add:
            kept = tuple((a.trial, a.attempt) for a in held)
            return Reply(worker, value=Return(held=kept, steps=(100,) * len(kept)))
        ended, rest = held[:2], held[2:]
        kept = tuple((a.trial, a.attempt) for a in rest)
        done = tuple(outcome(a) for a in ended)
        return Reply(worker, value=Return(outcomes=done, held=kept, steps=(100,) * len(kept)))

    dispatcher = Dispatcher(sessions, Answering(answer), Rules(8, 1.0, 2), "me")
    assert dispatcher.telemetry(one) == Telemetry(0, 0, 0, 0)
    assert dispatcher.telemetry(one).share is None
    run(dispatcher, 3)
    assert dispatcher.telemetry(one) == Telemetry(running=2, steps=200, budget=400, trained=600)
    assert dispatcher.telemetry(one).share == 0.5
    assert dispatcher.telemetry(two) == Telemetry(running=2, steps=200, budget=400, trained=200)

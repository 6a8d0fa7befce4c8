"""What workers say of their calls becomes the structures' speeds."""

from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.loop import Dispatcher
from service.store import speeds
from tests.service.dispatch.stand_ins import RULES, Answering, run, submit
from tests.service.samples import outcome, plan
from workers.messages import Order, Return
from workers.pool import Reply


def test_lane_steps_and_seconds_of_every_call_are_added_up(
    sessions: sessionmaker[Session],
) -> None:
    took: list[float] = []

    def answer(worker: str, order: Order) -> Reply:
        done = tuple(outcome(a) for a in order.add)
        took.append(1.0 + len(took))
        return Reply(worker, value=Return(outcomes=done, lane_steps=800, seconds=took[-1]))

    submit(sessions)
    run(Dispatcher(sessions, Answering(answer), RULES, "me"))
    assert len(took) > 3
    with sessions() as session:
        found = speeds.of_experiment(session, "deep_mlp")
    [speed] = speeds.known(found, [plan().structures[0].pack])
    assert speed == 800 * len(took) / sum(took)

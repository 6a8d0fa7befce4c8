"""What one worker measured the next is told, once, with its first order for the pack."""

from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.loop import Dispatcher
from tests.service.dispatch.stand_ins import RULES, Answering, run, submit
from tests.service.samples import outcome
from workers.messages import Order, Return
from workers.pool import Reply


def answer(worker: str, order: Order) -> Reply:
    """Everything ends at once, and 16 lanes measured best."""
    done = tuple(outcome(a) for a in order.add)
    return Reply(worker, value=Return(outcomes=done, dropped=order.cancel, widths={0: 16}))


def test_a_measured_width_goes_to_workers_that_are_new_to_the_pack(
    sessions: sessionmaker[Session],
) -> None:
    submit(sessions)
    first = Answering(answer)
    run(Dispatcher(sessions, first, RULES, "me"))
    assert {tuple(order.widths.items()) for _, order in first.orders} == {()}
    submit(sessions, name="again")
    second = Answering(answer)
    run(Dispatcher(sessions, second, RULES, "me"))
    told = [dict(order.widths) for _, order in second.orders]
    assert len(told) > 2
    assert told[0] == {0: 16}
    assert set(map(str, told[1:])) == {"{}"}

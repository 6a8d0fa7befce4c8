"""A data set is lacking once workers are known and none has it."""

from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.loop import Dispatcher
from tests.service.dispatch.stand_ins import RULES, FakeWorkers, run
from tests.service.samples import NUMERICS
from workers.messages import WorkerDescription
from workers.pool import Reply


class Without(FakeWorkers):
    """Workers of which all but the first lack two data sets, and the first one."""

    def spawn(self) -> str:
        name = super().spawn()
        lacking = {"mnist70k": "fetch it"} | ({} if self.spawned == 1 else {"babi": "ask"})
        description = WorkerDescription(dict(NUMERICS), node=name, lacking=lacking)
        self.replies[-1] = Reply(name, value=description)
        return name


def test_it_is_lacking_where_no_worker_has_it(sessions: sessionmaker[Session]) -> None:
    dispatcher = Dispatcher(sessions, Without(), RULES, "me")
    assert dispatcher.announcement().lacking == {}
    run(dispatcher, 3)
    assert dispatcher.announcement().workers == 2
    assert dispatcher.announcement().lacking == {"mnist70k": "fetch it"}

"""Workers of two numerics classes in one pool: a sweep keeps to its own."""

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.loop import Dispatcher
from service.store import classes
from service.store.tables import outcomes, trials
from tests.service.dispatch.stand_ins import RULES, FakeWorkers, look, run, submit
from tests.service.samples import NUMERICS
from workers.messages import WorkerDescription
from workers.pool import Reply

OTHER = NUMERICS | {"torch": "3"}


class Mixed(FakeWorkers):
    """Every second worker is of another class."""

    def spawn(self) -> str:
        self.spawned += 1
        name = f"worker-{self.spawned}"
        numerics = NUMERICS if self.spawned % 2 else OTHER
        self.replies.append(Reply(name, value=WorkerDescription(numerics, node=name)))
        return name


def test_sweeps_of_two_classes_run_side_by_side_each_on_workers_of_its_own(
    sessions: sessionmaker[Session],
) -> None:
    """A third, of none yet, becomes of one, though workers of both take from its queue at once."""
    one, two, free = (submit(sessions, seeds=20) for _ in range(3))
    with sessions.begin() as session:
        assert classes.pin(session, one, NUMERICS)
        assert classes.pin(session, two, OTHER)
    run(Dispatcher(sessions, Mixed(2), RULES, "me"), 160)
    assert {look(sessions, sweep).state for sweep in (one, two, free)} == {"finished"}
    query = select(trials.c.sweep, outcomes.c.class_id, trials.c.worker).distinct()
    with sessions() as session:
        found = session.execute(query.join(outcomes, outcomes.c.trial == trials.c.id)).all()
    by_sweep = {sweep: (name, worker) for sweep, name, worker in found}
    assert len(found) == 3  # each of one class, by one worker
    assert by_sweep[one] == (classes.class_id(NUMERICS), "worker-1")
    assert by_sweep[two] == (classes.class_id(OTHER), "worker-2")

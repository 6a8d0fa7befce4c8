"""Workers of a sweep's numerics class are away for a while, or for ever."""

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from service.dispatch.absence import ABSENT_S
from service.dispatch.loop import Dispatcher, Rules
from service.store import classes, sweeps
from service.store.tables import structures
from service.store.tables import sweeps as sweeps_table
from tests.service.dispatch.stand_ins import RULES, Clock, FakeWorkers, look, run, submit
from tests.service.samples import NUMERICS
from workers.messages import Order, Return, WorkerDescription
from workers.pool import Reply

OTHER = NUMERICS | {"torch": "3"}
ELASTIC = Rules(lanes=4, slice_s=1.0, max_attempts=2, least=0, idle_s=600.0)
Sessions = sessionmaker[Session]


class Silent(FakeWorkers):
    """Workers that say who they are when a test has them do so."""

    def spawn(self) -> str:
        name = super().spawn()
        self.replies.pop()
        return name

    def describe(self, name: str, numerics: dict[str, str]) -> None:
        self.replies.append(Reply(name, value=WorkerDescription(numerics, node=name)))


def pinned(sessions: Sessions, numerics: dict[str, str] = NUMERICS) -> str:
    sweep = submit(sessions)
    with sessions.begin() as session:
        assert classes.pin(session, sweep, numerics)
    return sweep


def paused(sessions: Sessions, sweep: str) -> bool:
    with sessions() as session:
        view = sweeps.show(session, sweep)
    assert (view.state == "paused") == (view.reason == sweeps.CODE_CHANGED)
    return view.state == "paused"


def test_a_sweep_of_an_experiment_that_is_not_installed_stops_no_other(sessions: Sessions) -> None:
    """Its plug-in was removed: it stays as it is, and one line says what to do."""
    gone, other = pinned(sessions), submit(sessions)
    with sessions.begin() as session:
        mine = update(sweeps_table).where(sweeps_table.c.id == gone)
        session.execute(mine.values(experiment="removed"))
        mine = update(structures).where(structures.c.sweep == gone)
        pack = session.scalar(structures.select().with_only_columns(structures.c.pack).limit(1))
        session.execute(mine.values(pack={**pack, "experiment": "removed"}))
    with capture_logs() as logged:
        run(Dispatcher(sessions, FakeWorkers(), RULES, "me"))
    assert look(sessions, other).state == "finished"
    assert look(sessions, gone).state == "waiting"
    [said] = [line for line in logged if line["event"] == "experiment_not_installed"]
    assert (said["sweep"], said["experiment"]) == (gone, "removed")
    assert "install the package" in said["cure"]


def test_an_experiment_that_is_not_installed_asks_for_no_worker(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr("service.dispatch.peers.experiments", dict)
    submit(sessions)
    workers = FakeWorkers()
    dispatcher = Dispatcher(sessions, workers, ELASTIC, "me")
    for _ in range(5):
        clock.now += 2.0
        run(dispatcher, 1)
    assert workers.spawned == 0


def test_workers_that_have_not_said_who_they_are_are_waited_for(
    sessions: Sessions, clock: Clock
) -> None:
    """After a failover they do so one by one, and the first may be of another class."""
    sweep, workers = pinned(sessions), Silent(2)
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    run(dispatcher, 1)
    workers.describe("worker-1", OTHER)
    run(dispatcher, 3)
    assert not paused(sessions, sweep)
    workers.describe("worker-2", NUMERICS)
    run(dispatcher)
    assert look(sessions, sweep).state == "finished"


def test_where_all_workers_are_of_another_class_the_sweep_pauses_at_once(
    sessions: Sessions, clock: Clock
) -> None:
    sweep, workers = pinned(sessions), Silent(2)
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    run(dispatcher, 1)
    for name in ("worker-1", "worker-2"):
        assert not paused(sessions, sweep)
        workers.describe(name, OTHER)
        run(dispatcher, 2)
    assert paused(sessions, sweep)


def lone(sessions: Sessions) -> tuple[str, Silent, Dispatcher]:
    """A sweep whose only worker is lost while it trains, beside an idle one of another class."""
    sweep, workers = pinned(sessions), Silent(2)

    def keep(worker: str, order: Order) -> Reply | None:
        if not order.add:
            return Reply(worker, lost="killed")
        return Reply(worker, value=Return(held=tuple((a.trial, a.attempt) for a in order.add)))

    workers.answer = keep  # type: ignore[method-assign]
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    run(dispatcher, 1)
    workers.describe("worker-1", OTHER)
    workers.describe("worker-2", NUMERICS)
    while not workers.discarded:
        run(dispatcher, 1)
    del workers.answer  # type: ignore[method-assign]
    return sweep, workers, dispatcher


def test_a_class_that_is_away_for_a_moment_pauses_nothing(sessions: Sessions, clock: Clock) -> None:
    """The sweep's only worker died, and one of another class has nothing to do meanwhile."""
    sweep, workers, dispatcher = lone(sessions)
    run(dispatcher, 3)
    clock.now += ABSENT_S - 1.0
    run(dispatcher, 3)
    assert not paused(sessions, sweep)
    workers.describe("worker-3", NUMERICS)
    run(dispatcher)
    assert look(sessions, sweep).state == "finished"


def test_a_sweep_that_was_paused_as_its_class_was_gone_goes_on_once_it_is_back(
    sessions: Sessions, clock: Clock
) -> None:
    sweep, workers, dispatcher = lone(sessions)
    run(dispatcher, 3)
    clock.now += ABSENT_S
    run(dispatcher, 3)
    assert paused(sessions, sweep)
    workers.describe("worker-3", NUMERICS)
    with capture_logs() as logged:
        run(dispatcher)
    assert [x["sweep"] for x in logged if x["event"] == "sweep_resumed"] == [sweep]
    assert look(sessions, sweep).state == "finished"


def test_one_that_a_user_paused_meanwhile_waits_for_the_user(
    sessions: Sessions, clock: Clock
) -> None:
    sweep, workers, dispatcher = lone(sessions)
    run(dispatcher, 3)
    clock.now += ABSENT_S
    run(dispatcher, 3)
    assert paused(sessions, sweep)
    with sessions.begin() as session:
        sweeps.pause(session, sweep)
    workers.describe("worker-3", NUMERICS)
    run(dispatcher)
    assert look(sessions, sweep).state == "paused"
    with sessions.begin() as session:
        sweeps.resume(session, sweep)
    run(dispatcher)
    assert look(sessions, sweep).state == "finished"


def test_where_workers_come_with_work_the_first_may_be_of_another_class(
    sessions: Sessions, clock: Clock
) -> None:
    sweep, workers = pinned(sessions), Silent(3)
    dispatcher = Dispatcher(sessions, workers, ELASTIC, "me")
    run(dispatcher, 3)
    workers.describe("worker-1", OTHER)
    for passed in (0.0, ABSENT_S - 1.0, 1.0):
        clock.now += passed
        assert not paused(sessions, sweep)
        run(dispatcher, 3)
    assert paused(sessions, sweep)

"""How many workers there should be, as tables, and a fleet that follows them."""

from dataclasses import replace

import pytest
from sqlalchemy import insert, update
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from service.dispatch import fleet
from service.dispatch.decide import Slot, Waiting
from service.dispatch.loop import Dispatcher, Rules
from service.dispatch.scale import Change, Member, change, runnable, target, useless, wanted
from service.dispatch.unfit import unfit
from service.store import exclusion, replays
from service.store.replays import Asked
from service.store.tables import numerics_classes, outcomes
from tests.service.dispatch.stand_ins import (
    Clock,
    FakeWorkers,
    end_lease,
    look,
    run,
    submit,
)
from tests.service.samples import moment
from workers.messages import PackSpec, Return, WorkerDescription
from workers.pool import ClusterLostError, Reply

PACK = PackSpec("deep_mlp", {"depth": 3}, 100, 1000, 1, "end")
OTHER = replace(PACK, shared={"depth": 5})
QUEUE = Waiting("one", 0, PACK, claimable=64, pinned=None)
CLASSES = {"deep_mlp": "c"}
FULL = Slot("w", idle=False, held=64, pack=PACK, classes=CLASSES, place="w", holds={"one": 64})
IDLE = Slot("w", idle=True, held=0, pack=None, classes=CLASSES, place="w")
ASKED = Asked("deep_mlp", "c", 3)
MANY = [ASKED, Asked("deep_mlp", "gone", 9), Asked("other", "c", 9)]
BARRED = replace(QUEUE, excluded=frozenset("w"))
BOTH = replace(QUEUE, excluded=frozenset("vw"))
ELASTIC = Rules(lanes=4, slice_s=1.0, max_attempts=2, least=0, idle_s=30.0)


@pytest.mark.parametrize(
    ("slots", "queues", "options", "expected"),
    [
        ([], [], {}, 0),
        ([], [replace(QUEUE, claimable=1)], {}, 1),
        ([], [QUEUE], {}, 1),
        ([], [replace(QUEUE, claimable=65)], {}, 2),
        ([FULL], [], {}, 1),
        ([FULL], [QUEUE], {}, 2),
        ([replace(FULL, held=32)], [replace(QUEUE, claimable=32)], {}, 1),
        # but not beside what a worker holds that may take none of it
        ([replace(FULL, held=3)], [replace(BARRED, claimable=3)], {}, 2),
        ([replace(FULL, held=3)], [replace(QUEUE, claimable=3, pinned="d")], {}, 2),
        ([replace(FULL, held=3)], [replace(BARRED, claimable=3), QUEUE], {}, 2),
        ([replace(FULL, held=0)], [], {}, 0),
        # packs are not shared between structures, and are between sweeps of one
        ([], [QUEUE, replace(QUEUE, structure=1, pack=OTHER, claimable=1)], {}, 2),
        ([], [replace(QUEUE, claimable=32), replace(QUEUE, sweep="two", claimable=32)], {}, 1),
        # suspects are parted: eight of 64 lanes, then two, then each alone
        ([], [replace(QUEUE, claimable=0, suspects=20, losses=2)], {}, 3),
        ([], [replace(QUEUE, claimable=0, suspects=3, losses=4)], {}, 3),
        ([replace(FULL, held=3, sealed=True)], [], {}, 1),
        ([], [], {"replays": 2}, 2),
        # an owner who may have no more asks for no more
        ([], [replace(QUEUE, claimable=640)], {"most": 64}, 1),
        ([FULL], [replace(QUEUE, claimable=640)], {"most": 64}, 1),
        ([FULL], [QUEUE, replace(QUEUE, sweep="two", owner="b")], {"most": 64}, 2),
    ],
)
def test_what_there_is_to_do_says_how_many_workers(
    slots: list[Slot], queues: list[Waiting], options: dict[str, int], expected: int
) -> None:
    assert wanted(slots, queues, 64, **options) == expected


@pytest.mark.parametrize(
    ("asked", "least", "most", "expected"), [(0, 0, 4, 0), (0, 2, 4, 2), (3, 2, 4, 3), (9, 2, 4, 4)]
)
def test_the_options_bound_it(asked: int, least: int, most: int, expected: int) -> None:
    assert target(asked, least, most) == expected


@pytest.mark.parametrize(
    ("slots", "queues", "expected"),
    [
        ([IDLE], [], ""),
        ([IDLE], [QUEUE], ""),
        ([IDLE], [BARRED], "w"),
        ([replace(IDLE, idle=False)], [BARRED], ""),
        ([FULL], [BARRED], ""),
        ([IDLE], [BARRED, replace(QUEUE, sweep="two")], ""),
        ([IDLE, replace(IDLE, name="v", place="v")], [BARRED], "w"),
        ([replace(IDLE, classes={})], [BARRED], ""),  # it has not said yet who it is
        # a successor at its place may do no more: it has none
        ([IDLE, replace(IDLE, name="v")], [BARRED], "v"),
        ([IDLE, replace(IDLE, name="v", place="v")], [BOTH], "vw"),
        ([IDLE, replace(IDLE, name="v")], [BARRED, replace(QUEUE, pinned="d")], "v"),
        # of another class: one, and only where none is of it
        ([IDLE, replace(IDLE, name="v")], [replace(QUEUE, pinned="d")], "w"),
        ([IDLE, replace(FULL, classes={"deep_mlp": "d"})], [replace(QUEUE, pinned="d")], ""),
    ],
)
def test_who_may_do_nothing_of_what_waits(
    slots: list[Slot], queues: list[Waiting], expected: str
) -> None:
    assert useless(slots, queues, []) == frozenset(expected)


@pytest.mark.parametrize(
    ("asked", "slots", "seen", "expected"),
    [
        ([], [], set(), 0),
        ([ASKED], [], set(), 1),  # nobody knows what the first will be
        ([ASKED], [replace(IDLE, classes={})], set(), 1),
        (MANY, [IDLE], {("deep_mlp", "gone")}, 3),
        (MANY, [], {("deep_mlp", "c")}, 3),  # workers of it were there
    ],
)
def test_replays_that_no_worker_can_run_ask_for_none(
    asked: list[Asked],
    slots: list[Slot],
    seen: set[tuple[str, str]],
    expected: int,
) -> None:
    assert runnable(asked, slots, seen) == expected


@pytest.mark.parametrize(
    ("asked", "slots", "queues", "expected"),
    [
        ([ASKED], [IDLE], [], ""),
        ([replace(ASKED, excluded=frozenset("w"))], [IDLE], [], "w"),
        ([replace(ASKED, excluded=frozenset("w"))], [FULL], [], ""),
        ([replace(ASKED, excluded=frozenset("w"))], [IDLE], [QUEUE], ""),
        ([replace(ASKED, excluded=frozenset("w")), ASKED], [IDLE], [], ""),
        ([ASKED], [IDLE], [BARRED], ""),
        ([replace(ASKED, excluded=frozenset("w"))], [IDLE, replace(IDLE, name="v")], [], "v"),
        (MANY[1:], [IDLE], [], ""),  # of another class: they ask for nobody
    ],
)
def test_who_may_do_no_replay_that_waits(
    asked: list[Asked], slots: list[Slot], queues: list[Waiting], expected: str
) -> None:
    assert useless(slots, queues, asked) == frozenset(expected)


BUSY, YOUNG = Member("busy"), Member("young", idle_s=5.0)
OLD, OLDER = Member("old", idle_s=31.0), Member("older", idle_s=40.0)
NONE, RESTED = Member("none", idle_s=5.0, useless=True), Member("rest", idle_s=31.0, useless=True)
FIRST, LAST = Member("first", pending=True), Member("last", pending=True)


@pytest.mark.parametrize(
    ("members", "aim", "expected"),
    [
        ([], 2, Change(more=2)),
        ([BUSY], 1, Change()),
        ([BUSY, YOUNG], 0, Change()),  # idle for too short a while
        ([BUSY, OLD], 0, Change(go=("old",))),
        ([OLD, OLDER], 1, Change(go=("older",))),
        ([FIRST, LAST, OLD], 2, Change(go=("last",))),
        ([FIRST, LAST, OLD], 0, Change(go=("last", "first", "old"))),
        ([BUSY, FIRST], 3, Change(more=1)),  # one that waits for its place is counted
        ([NONE], 1, Change(more=1)),  # one that may do nothing of it is not
        ([RESTED], 1, Change(more=1, go=("rest",))),
        ([RESTED, OLD, BUSY], 1, Change(go=("old", "rest"))),
        ([BUSY, NONE, NONE, NONE], 2, Change()),  # at most four
        ([BUSY, NONE, NONE, RESTED], 2, Change(more=1, go=("rest",))),
    ],
)
def test_who_waits_for_a_place_goes_first_and_who_trains_never(
    members: list[Member], aim: int, expected: Change
) -> None:
    assert change(members, aim, 30.0, 4) == expected


class Waiting4Place(FakeWorkers):
    """Workers that have no place until a test gives them one."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.placeless: set[str] = set()
        self.room = False

    def spawn(self) -> str:
        name = super().spawn()
        if not self.room:
            self.placeless.add(name)
            self.replies.pop()
        return name

    def pending(self) -> frozenset[str]:
        return frozenset(self.placeless)


def test_workers_come_with_work_and_go_after_it(
    sessions: sessionmaker[Session], clock: Clock
) -> None:
    """None at first; as many as the work fills; and none again once they were idle."""
    workers = FakeWorkers(3)
    dispatcher = Dispatcher(sessions, workers, ELASTIC, "me")
    run(dispatcher, 5)
    assert workers.spawned == 0
    assert dispatcher.announcement().on_demand
    sweep = submit(sessions)
    for _ in range(40):
        clock.now += 1.1
        run(dispatcher, 1)
    assert look(sessions, sweep).state == "finished"
    assert workers.spawned == 3
    clock.now += 31.0
    run(dispatcher, 3)
    assert sorted(workers.discarded) == ["worker-1", "worker-2", "worker-3"]
    assert dispatcher.announcement().workers == 0


def test_one_that_waits_for_a_place_is_neither_lost_nor_stillborn_and_goes_with_its_work(
    sessions: sessionmaker[Session], clock: Clock
) -> None:
    """However long no node comes: patience begins once there is a place."""
    workers = Waiting4Place(3)
    dispatcher = Dispatcher(sessions, workers, ELASTIC, "me")
    sweep = submit(sessions)
    with capture_logs() as logged:
        for _ in range(50):
            clock.now += 600.0
            run(dispatcher, 1)
    assert workers.spawned == 3
    assert workers.discarded == []
    assert [line["event"] for line in logged] == []
    with sessions.begin() as session:
        from service.store import sweeps  # noqa: PLC0415

        sweeps.pause(session, sweep)
    for _ in range(20):
        clock.now += 2.0
        run(dispatcher, 1)
    assert sorted(workers.discarded) == ["worker-1", "worker-2", "worker-3"]


def asking(dispatcher: Dispatcher, clock: Clock, seconds: int) -> None:
    """So many seconds, in which it asks each time how many workers there should be."""
    for _ in range(seconds):
        clock.now += 1.1
        run(dispatcher, 1)


def test_where_the_only_worker_is_excluded_another_comes_and_it_goes(
    sessions: sessionmaker[Session], clock: Clock
) -> None:
    workers = FakeWorkers(3)
    dispatcher = Dispatcher(sessions, workers, ELASTIC, "me")
    sweep = submit(sessions, grid={}, seeds=1, cohort=1)
    asking(dispatcher, clock, 10)
    assert (workers.spawned, look(sessions, sweep).state) == (1, "finished")
    with sessions.begin() as session:
        exclusion.exclude(session, sweep, "worker-1", "it lies", now=moment())
    workers.answer = lambda *_: None  # type: ignore[method-assign]
    asking(dispatcher, clock, 10)
    assert workers.spawned == 2
    assert workers.orders[-1][0] == "worker-2"
    asking(dispatcher, clock, 30)
    assert (workers.discarded, workers.spawned) == (["worker-1"], 2)


def test_replays_do_not_keep_up_a_worker_that_is_excluded_from_them(
    sessions: sessionmaker[Session], clock: Clock
) -> None:
    """Another comes in its stead and runs them, and then there is none."""
    dispatcher = Dispatcher(sessions, FakeWorkers(3), ELASTIC, "one")
    sweep = submit(sessions, grid={}, seeds=1, cohort=1)
    asking(dispatcher, clock, 10)
    with sessions.begin() as session:
        exclusion.exclude(session, sweep, "worker-1", "it lies", now=moment())
    asking(dispatcher, clock, 10)
    assert look(sessions, sweep).state == "finished"
    end_lease(sessions)
    workers = FakeWorkers(3)  # of which the first is worker-1 again
    dispatcher = Dispatcher(sessions, workers, ELASTIC, "two")
    with sessions.begin() as session:
        replays.ask(session, 1, None, moment())
    asking(dispatcher, clock, 40)
    assert "worker-1" in workers.discarded
    assert "worker-1" not in {name for name, _ in workers.orders}
    with sessions() as session:
        assert replays.counts(session, sweep)["equal"] == 1
    asking(dispatcher, clock, 40)
    assert dispatcher.announcement().workers == 0


class OneNode(FakeWorkers):
    """Workers of one node."""

    def __init__(self, size: int, node: str) -> None:
        super().__init__(size)
        self.node = node

    def spawn(self) -> str:
        name = super().spawn()
        here = WorkerDescription(self.numerics, node=self.node)
        self.replies[-1] = replace(self.replies[-1], value=here)
        return name


@pytest.mark.parametrize("replayed", [False, True])
def test_on_a_node_that_is_excluded_one_worker_more_than_wanted_is_up(
    sessions: sessionmaker[Session], clock: Clock, replayed: bool
) -> None:
    """Who comes in the stead of one is there as well, and is followed after its idle time only."""
    first = Dispatcher(sessions, OneNode(3, "n"), ELASTIC, "one")
    sweep = submit(sessions, grid={}, seeds=1, cohort=1)
    asking(first, clock, 10)
    with sessions.begin() as session:
        exclusion.exclude(session, sweep, "n", "it lies", now=moment())
    end_lease(sessions)
    if replayed:
        asking(Dispatcher(sessions, OneNode(3, "m"), ELASTIC, "two"), clock, 10)
        assert look(sessions, sweep).state == "finished"
        end_lease(sessions)
        with sessions.begin() as session:
            replays.ask(session, 1, None, moment())
    workers = OneNode(8, "n")
    dispatcher = Dispatcher(sessions, workers, ELASTIC, "three")
    most = 0
    for _ in range(300):
        asking(dispatcher, clock, 1)
        most = max(most, dispatcher.announcement().workers)
    assert most == 2
    assert 2 < workers.spawned <= 2 + 2 * 330 / ELASTIC.idle_s
    assert workers.orders == []


def test_replays_of_a_class_without_workers_keep_none(
    sessions: sessionmaker[Session], clock: Clock
) -> None:
    """Those that came before said which class they are of."""
    workers = FakeWorkers(3)
    dispatcher = Dispatcher(sessions, workers, ELASTIC, "me")
    sweep = submit(sessions)
    asking(dispatcher, clock, 60)
    assert look(sessions, sweep).state == "finished"
    with sessions.begin() as session:
        session.execute(insert(numerics_classes).values(id="gone", content={}))
        session.execute(update(outcomes).values(class_id="gone"))
        assert len(replays.ask_sample(session, sweep, 1.0, None, moment())) == 24
    spawned = workers.spawned
    asking(dispatcher, clock, 60)
    assert (workers.spawned, dispatcher.announcement().workers) == (spawned, 0)


def test_a_machine_that_is_unfit_is_said_once_with_its_cure(
    sessions: sessionmaker[Session], clock: Clock
) -> None:
    workers = Waiting4Place(1)
    dispatcher = Dispatcher(sessions, workers, Rules(4, 1.0, 2), "me")
    why = (
        "ActorDiedError: The actor died because of an error raised in its creation task, "
        "ray::Worker.__init__() (pid={})\nModuleNotFoundError: No module named 'torch'"
    )
    with capture_logs() as logged:
        for _ in range(40):
            clock.now += 40.0
            run(dispatcher, 1)
            workers.replies = [
                Reply(name, lost=why.format(clock.now)) for name in dispatcher._peers
            ]
    events = [line["event"] for line in logged]
    assert events.count("worker_unfit") == 1
    assert set(events) == {"worker_unfit"}
    assert 2 < workers.spawned < 25  # not whenever it might be
    [said] = [line for line in logged if line["event"] == "worker_unfit"]
    assert said["why"] == "ModuleNotFoundError: No module named 'torch'"
    assert "worker image" in said["cure"]


def test_a_node_that_went_away_is_not_unfit() -> None:
    assert unfit("ActorDiedError: The actor died because its node has died.") is None


class Stalling(FakeWorkers):
    """Workers of which so many cannot be started, after so many that can."""

    def __init__(self, size: int, after: int, failures: int) -> None:
        super().__init__(size)
        self._after = after
        self.failures = failures

    def spawn(self) -> str:
        if self.spawned >= self._after and self.failures:
            self.failures -= 1
            raise ConnectionError("the head does not answer")
        return super().spawn()


def test_workers_that_were_started_before_one_that_could_not_be_are_kept(
    sessions: sessionmaker[Session], clock: Clock
) -> None:
    """They train meanwhile; the others are tried again later, less and less often."""
    workers = Stalling(3, after=1, failures=2)
    dispatcher = Dispatcher(sessions, workers, Rules(4, 1.0, 2), "me")
    with capture_logs() as logged:
        for _ in range(4):
            run(dispatcher, 1)
            clock.now += 0.1
    assert [p.description is not None for p in dispatcher._peers.values()] == [True]
    said = [line for line in logged if line["event"] == "worker_not_started"]
    assert [(line["times"], line["again_s"]) for line in said] == [(1, 2.0)]
    sweep = submit(sessions)
    run(dispatcher, 10)
    assert workers.spawned == 1
    for _ in range(2):
        clock.now += 5.0
        run(dispatcher, 2)
    assert workers.spawned == 3
    run(dispatcher, 40)
    assert look(sessions, sweep).state == "finished"
    assert workers.discarded == []


def test_where_no_worker_is_left_and_none_can_be_started_it_is_said_and_given_up(
    sessions: sessionmaker[Session], clock: Clock
) -> None:
    """A supervisor starts it again; else it would go on for ever without progress."""
    workers = Stalling(2, after=0, failures=10**6)
    dispatcher = Dispatcher(sessions, workers, Rules(4, 1.0, 2), "me")
    began = clock.now

    def go_on() -> None:
        while clock.now - began < 600.0:
            run(dispatcher, 1)
            clock.now += 1.0

    with pytest.raises(ClusterLostError, match="the head does not answer"):
        go_on()
    assert clock.now - began > 60.0


def test_a_worker_that_is_not_known_is_neither_missed_nor_heard(
    sessions: sessionmaker[Session], clock: Clock
) -> None:
    workers = FakeWorkers(1)
    dispatcher = Dispatcher(sessions, workers, Rules(4, 1.0, 2), "me")
    run(dispatcher, 2)
    dispatcher._fleet.asked("stranger")
    clock.now += 10_000.0
    assert [lost.worker for lost in dispatcher._fleet.missed({})] == []
    workers.replies += [Reply("stranger", value=Return()), Reply("stranger2", lost="gone")]
    sweep = submit(sessions)
    run(dispatcher, 40)
    assert look(sessions, sweep).state == "finished"


def test_the_rest_between_attempts_is_bounded_however_many_came_to_nothing() -> None:
    assert [fleet._rest_s(n) for n in (1, 2, 5, 6, 10**6)] == [2.0, 4.0, 32.0, 60.0, 60.0]

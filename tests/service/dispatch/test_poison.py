"""One trial that kills whatever worker trains it is errored alone; all others finish."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, select

from service.dispatch.decide import Slot, Take, Waiting
from service.dispatch.filling import takes
from service.dispatch.loop import Dispatcher, Rules
from service.store.engine import session_factory
from service.store.suspicion import MOST_LOSSES
from service.store.tables import trials
from tests.service.dispatch.stand_ins import Answering, look, run, submit
from tests.service.dispatch.test_decide import CLASSES, EMPTY, QUEUE, SHALLOW
from tests.service.samples import outcome
from tests.service.store.test_conformance import check_counters
from workers.messages import Assignment, Order, Return
from workers.pool import Reply

LANES = 64
#: seed and noise of the trial that kills
POISON = (5, 0.01)


class Packs:
    """Workers that train what they hold in two calls, and die of the poison in the second."""

    def __init__(self, poison: frozenset[tuple[int, float]]) -> None:
        self.poison = poison
        self.held: dict[str, list[Assignment]] = {}
        self.half: set[str] = set()
        self.deaths: list[int] = []

    def answer(self, worker: str, order: Order) -> Reply:
        held = self.held.setdefault(worker, [])
        held += order.add
        if worker not in self.half:
            self.half.add(worker)
            return Reply(worker, value=Return(held=tuple((a.trial, a.attempt) for a in held)))
        self.half.discard(worker)
        self.held[worker] = []
        if any((a.seed, a.values["noise_eta"]) in self.poison for a in held):
            self.deaths.append(len(held))
            return Reply(worker, lost="killed")
        return Reply(worker, value=Return(outcomes=tuple(outcome(a) for a in held)))


@pytest.mark.parametrize("workers", [1, 3])
def test_one_trial_that_kills_its_worker_takes_no_other_with_it(
    engine: Engine, workers: int
) -> None:
    sessions = session_factory(engine)
    sweep = submit(sessions, grid={}, seeds=60, cohort=30)
    packs = Packs(frozenset({POISON}))
    pool = Answering(packs.answer, workers)
    run(Dispatcher(sessions, pool, Rules(LANES, 1.0, 3), "me"), 150)
    now = look(sessions, sweep)
    assert now.state == "finished"
    assert [a.ended["errored"] for a in now.arms] == [0, 1]
    assert sum(a.ended["finished"] for a in now.arms) == 119
    assert packs.deaths[-2:] == [1, 1]
    assert len(packs.deaths) == MOST_LOSSES
    with sessions() as session:
        query = select(trials.c.seed, trials.c.losses).where(trials.c.state == "errored")
        assert [tuple(r) for r in session.execute(query)] == [(5, MOST_LOSSES)]
    check_counters(sessions, sweep)


def test_two_poisons_in_one_pack_are_both_found(engine: Engine) -> None:
    sessions = session_factory(engine)
    sweep = submit(sessions, grid={}, seeds=60, cohort=30)
    packs = Packs(frozenset({POISON, (9, 0.0)}))
    run(Dispatcher(sessions, Answering(packs.answer, 2), Rules(LANES, 1.0, 3), "me"), 200)
    now = look(sessions, sweep)
    assert now.state == "finished"
    assert [a.ended["errored"] for a in now.arms] == [1, 1]


SUSPECTS = Waiting("s1", 0, SHALLOW, 100, None, suspects=20, losses=2)


def test_an_empty_worker_takes_suspects_first_and_few() -> None:
    other = Slot("b", idle=True, held=3, pack=SHALLOW, classes=CLASSES)
    first, second = takes([EMPTY, other], [SUSPECTS], 64)
    assert first == Take("a", "s1", 0, SHALLOW, 8, suspects=True)
    assert (second.worker, second.suspects) == ("b", False)


def test_nothing_is_added_to_suspects() -> None:
    sealed = Slot("a", idle=True, held=2, pack=SHALLOW, classes=CLASSES, sealed=True)
    assert takes([sealed], [QUEUE, SUSPECTS], 64) == []


def test_suspects_of_another_class_are_left() -> None:
    assert takes([EMPTY], [replace(SUSPECTS, pinned="other")], 64) == []

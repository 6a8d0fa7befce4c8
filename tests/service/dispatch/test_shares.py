"""Who is served next: laws over worlds on paper, and the rules one by one."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.dispatch.filling import takes
from service.dispatch.quantum import LEAST_S, ROUNDS
from service.dispatch.shares import Ledger, weight
from tests.service.dispatch.test_decide import CLASSES, DEEP, EMPTY, QUEUE, SHALLOW
from tests.service.dispatch.world import Sweep, World
from tests.service.samples import moment

OTHER = replace(QUEUE, sweep="s2")


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A few workers, sweeps of a few structures and owners that come at any time."""
    sweeps = [
        Sweep(
            f"s{i}",
            depth=draw(st.integers(1, 3)),
            trials=draw(st.integers(1, 120)),
            length=draw(st.integers(1, 6)),
            owner=draw(st.sampled_from(["ann", "bob", "cyd"])),
            priority=draw(st.sampled_from([-10, 0, 0, 10])),
            arrives=draw(st.integers(0, 40)),
        )
        for i in range(draw(st.integers(1, 6)))
    ]
    most = draw(st.sampled_from([0, 3, 20]))
    return World(draw(st.integers(1, 4)), sweeps, most=most)


#: a world lasts as long as it lasts, on whatever machine
LAWS = settings(max_examples=30, deadline=None)


@LAWS
@given(worlds())
def test_no_worker_stands_empty_while_something_may_be_claimed_within_the_limits(
    world: World,
) -> None:
    for waiting in world.run(2000):
        running = world.running()
        if any(not world.most or running[q.owner] < world.most for q in waiting):
            assert all(machine.lanes for machine in world.machines)
        if world.most:
            assert max(running.values(), default=0) <= world.most


@LAWS
@given(worlds())
def test_every_sweep_begins_after_a_bounded_wait_and_ends(world: World) -> None:
    """Each of the others may come first, with a quantum and a drain, as often as weights say."""
    longest = max(s.length for s in world.sweeps.values())
    turn_s = max(LEAST_S, ROUNDS * 2 * longest) + longest
    total = sum(s.trials for s in world.sweeps.values())
    for _ in world.run(total * longest + 100):
        pass
    for sweep in world.sweeps.values():
        assert sweep.ended == sweep.trials
        assert sweep.began is not None
        if not world.most:  # else its owner may be busy with what runs already
            before = sum(
                max(1.0, weight(other.priority) / weight(sweep.priority))
                for other in world.sweeps.values()
            )
            assert sweep.began - sweep.arrives <= 2 * turn_s * before


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("depths", [(1, 1), (1, 2)], ids=["one structure", "two structures"])
@pytest.mark.parametrize("priorities", [(0, 0), (20, 0)])
def test_two_sweeps_share_the_workers_by_their_weights(
    workers: int, depths: tuple[int, int], priorities: tuple[int, int]
) -> None:
    sweeps = [
        Sweep(name, depth, 10**6, 5, priority=priority)
        for name, depth, priority in zip("ab", depths, priorities, strict=True)
    ]
    world = World(workers, sweeps)
    for _ in world.run(1500):
        pass
    wanted = weight(priorities[0]) / weight(priorities[1])
    assert world.had["a"] / world.had["b"] == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize("depth", [1, 2])
def test_an_owner_gets_no_more_by_submitting_more_sweeps(depth: int) -> None:
    many = [Sweep(f"a{i}", 1 + i % depth, 10**6, 4, owner="ann") for i in range(4)]
    world = World(2, [*many, Sweep("b", 1, 10**6, 4, owner="bob")])
    for _ in world.run(1500):
        pass
    anns = [world.had[s.name] for s in many]
    assert sum(anns) / world.had["b"] == pytest.approx(1, rel=0.1)
    assert max(anns) / min(anns) < 1.25


def test_a_small_sweep_does_not_wait_for_a_large_one_of_another_structure() -> None:
    """The large one had the machine alone, so its quantum is long over when the other comes."""
    large = Sweep("large", 1, 14_580, 10)
    small = Sweep("small", 2, 100, 10, arrives=500)
    world = World(2, [large, small], lanes=64)
    for _ in world.run(700):
        if small.ended == small.trials:
            break
    assert small.ended == small.trials
    assert small.began is not None
    assert small.began - small.arrives <= large.length
    assert world.second - small.arrives <= 4 * small.length
    assert large.left


def test_a_worker_changes_over_no_more_often_than_its_quantum_allows() -> None:
    world = World(1, [Sweep("a", 1, 10**6, 10), Sweep("b", 2, 10**6, 10)])
    for _ in world.run(3000):
        pass
    assert 20 < world.changes <= 3000 / (ROUNDS * 10)


def test_a_sweep_alone_is_served_as_if_there_were_no_shares() -> None:
    world = World(2, [Sweep("a", 1, 100, 3)], lanes=16)
    for _ in world.run(100):
        if world.sweeps["a"].left > 40:
            assert [len(m.lanes) for m in world.machines] == [20, 20]
    assert world.changes == 2


def test_the_lanes_of_a_pack_are_shared_among_sweeps_of_its_structure() -> None:
    chosen = takes([EMPTY], [QUEUE, OTHER], 64)
    assert [(t.sweep, t.limit) for t in chosen] == [("s1", 40), ("s2", 40)]


def test_lanes_that_end_are_refilled_by_whoever_holds_fewer() -> None:
    holding = replace(EMPTY, held=40, pack=SHALLOW, holds={"s1": 40})
    chosen = takes([holding], [replace(QUEUE, claimable=9), replace(OTHER, claimable=9)], 50)
    assert [(t.sweep, t.limit) for t in chosen] == [("s1", 1), ("s2", 9)]


def stood(first: float, second: float) -> Ledger:
    """Two sweeps that want more than they have, and stand there."""
    ledger = Ledger().admitted([QUEUE, OTHER], []).wanting(["s1", "s2"])
    return replace(ledger, sweeps={"s1": first, "s2": second})


def test_whoever_had_less_is_served_first() -> None:
    busy = replace(EMPTY, held=1, pack=SHALLOW, holds={"s1": 1})
    ledger = stood(0, 0).charged([busy], moment(0)).charged([busy], moment(50))
    assert (ledger.clock, ledger.sweeps) == (50.0, {"s1": 100.0, "s2": 0.0})
    deep = replace(OTHER, pack=DEEP)
    assert [t.sweep for t in takes([EMPTY], [QUEUE, deep], 64, ledger)] == ["s2"]


def test_a_clock_that_jumps_charges_nothing_and_a_gap_little() -> None:
    busy = replace(EMPTY, held=1, pack=SHALLOW, holds={"s1": 1})
    ledger = stood(0, 0).charged([busy], moment(1000))
    assert ledger.charged([busy], moment(0)).clock == 0
    assert ledger.charged([busy], moment(10**6)).clock == 60


def test_nobody_owes_more_than_may_be_paid_in_some_minutes() -> None:
    busy = replace(EMPTY, held=1, pack=SHALLOW, holds={"s1": 1})
    ledger = stood(0, 0).charged([busy], moment(0))
    for minute in range(1, 100):
        ledger = ledger.charged([busy], moment(60 * minute))
    assert ledger.sweeps == {"s1": ledger.clock + 600, "s2": ledger.clock - 600}


def test_whoever_comes_begins_at_the_clock_and_debts_are_kept() -> None:
    ledger = replace(stood(90, 40), clock=60.0)
    new = replace(QUEUE, sweep="new", owner="ann")
    ledger = ledger.admitted([QUEUE, OTHER, new], [])
    assert ledger.sweeps == {"s1": 90.0, "s2": 40.0, "new": 60.0}
    away = ledger.wanting(["s2"]).admitted([OTHER], [])
    assert away.sweeps == {"s1": 90.0, "s2": 40.0}
    assert away.admitted([QUEUE, OTHER], []).sweeps["s1"] == 90.0
    sated = ledger.wanting(["s1"]).admitted([QUEUE, OTHER], [])
    assert sated.sweeps == {"s1": 90.0, "s2": 60.0}  # it had what it wanted: nothing is owed


def test_the_debts_of_an_owner_are_those_of_the_next_sweep() -> None:
    ledger = replace(stood(90, 40), clock=60.0, owners={"": 80.0, "ann": 20.0})
    here = ledger.admitted(
        [replace(QUEUE, sweep="s3"), replace(QUEUE, sweep="s4", owner="ann")], []
    )
    assert (here.sweeps["s3"], here.sweeps["s4"]) == (80.0, 60.0)


def test_an_owner_at_the_limit_gets_nothing_and_others_do() -> None:
    mine, theirs = replace(QUEUE, owner="ann"), replace(OTHER, owner="bob")
    holding = replace(EMPTY, name="b", idle=False, held=10, pack=SHALLOW, holds={"s1": 10})
    chosen = takes([EMPTY, holding], [mine, theirs], 64, most=10)
    assert [(t.sweep, t.limit) for t in chosen] == [("s2", 10)]
    fewer = takes([EMPTY], [mine], 64, most=10)
    assert [(t.sweep, t.limit) for t in fewer] == [("s1", 10)]


def test_suspects_of_one_sweep_do_not_come_before_another_that_is_owed_more() -> None:
    suspects = replace(QUEUE, claimable=0, suspects=9, losses=2)
    ledger = stood(99, 0)
    assert [t.sweep for t in takes([EMPTY], [suspects, OTHER], 64, ledger)] == ["s2"]
    chosen = takes([EMPTY, replace(EMPTY, name="b")], [suspects, OTHER], 64)
    assert [(t.sweep, t.suspects, t.limit) for t in chosen] == [("s1", True, 8), ("s2", False, 80)]


HOLDING = replace(EMPTY, held=64, pack=SHALLOW, holds={"s1": 64}, due=True)
DEEPER = replace(OTHER, pack=DEEP)


def test_a_worker_whose_quantum_is_over_drains_for_whoever_is_owed_more() -> None:
    nearly = replace(HOLDING, held=40, holds={"s1": 40})
    ledger = stood(9, 0)
    assert takes([nearly], [QUEUE, DEEPER], 64, ledger) == []
    early = replace(nearly, due=False)
    assert [t.sweep for t in takes([early], [QUEUE, DEEPER], 64, ledger)] == ["s1"]


def test_only_as_many_workers_drain_as_whoever_waits_can_use() -> None:
    both = [replace(HOLDING, name=n, held=h, holds={"s1": h}) for n, h in (("a", 40), ("b", 50))]
    ledger = stood(9, 0)
    few = replace(DEEPER, claimable=30)
    assert {t.worker for t in takes(both, [QUEUE, few], 64, ledger)} == {"b"}


def test_no_worker_drains_for_whom_another_has_room() -> None:
    nearly = replace(HOLDING, held=40, holds={"s1": 40})
    ledger = stood(9, 0)
    few = replace(DEEPER, claimable=30)
    beside = replace(EMPTY, name="b", idle=False, held=5, pack=DEEP, holds={"s2": 5}, due=True)
    assert [t.sweep for t in takes([nearly, beside], [QUEUE, few], 64, ledger)] == ["s1"]
    empty = replace(EMPTY, name="b")
    assert [(t.worker, t.sweep) for t in takes([nearly, empty], [QUEUE, few], 64, ledger)] == [
        ("a", "s1"),
        ("b", "s2"),
    ]


def test_a_worker_does_not_drain_for_what_it_cannot_train() -> None:
    nearly = replace(HOLDING, held=40, holds={"s1": 40})
    ledger = stood(9, 0)
    other = replace(DEEPER, pinned="another")
    assert [t.sweep for t in takes([nearly], [QUEUE, other], 64, ledger)] == ["s1"]
    assert CLASSES["deep_mlp"] != "another"


def test_a_worker_that_is_about_to_be_there_is_left_its_part() -> None:
    small = replace(QUEUE, claimable=20)
    assert [t.limit for t in takes([EMPTY], [small], 64, starting=1)] == [10]
    assert [t.limit for t in takes([EMPTY], [replace(QUEUE, claimable=1)], 64, starting=3)] == [1]

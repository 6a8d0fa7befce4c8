"""What each idle worker should do next, rule by rule."""

from dataclasses import replace

from service.dispatch.decide import Slot, Take, Waiting, fits, stranded
from service.dispatch.filling import takes
from workers.messages import PackSpec

SHALLOW = PackSpec("deep_mlp", {"depth": 3}, 100, 1000, 5, "end")
DEEP = replace(SHALLOW, shared={"depth": 20})
CLASSES = {"deep_mlp": "class-1"}
EMPTY = Slot("a", idle=True, held=0, pack=None, classes=CLASSES)
QUEUE = Waiting("s1", 0, SHALLOW, 1000, None)


def test_an_empty_worker_takes_a_pack_and_a_buffer_while_the_queue_is_long() -> None:
    assert takes([EMPTY], [QUEUE], 64) == [Take("a", "s1", 0, SHALLOW, 80)]


def test_a_short_queue_is_shared_so_that_no_worker_starves() -> None:
    other = replace(EMPTY, name="b")
    chosen = takes([EMPTY, other], [replace(QUEUE, claimable=20)], 64)
    assert [t.limit for t in chosen] == [10, 10]


def test_a_fuller_rival_leaves_the_rest_to_the_emptier_worker() -> None:
    busy = Slot("b", idle=False, held=30, pack=SHALLOW, classes=CLASSES)
    [take] = takes([EMPTY, busy], [replace(QUEUE, claimable=10)], 64)
    assert take.limit == 10


def test_a_worker_that_holds_lanes_keeps_to_their_pack() -> None:
    holding = replace(EMPTY, held=3, pack=DEEP)
    deep = Waiting("s2", 1, DEEP, 5, None)
    assert [t.sweep for t in takes([holding], [QUEUE, deep], 64)] == ["s2"]


def test_an_empty_worker_may_change_its_pack() -> None:
    assert fits(replace(EMPTY, pack=DEEP), QUEUE)


def test_sweeps_with_equal_packs_share_one() -> None:
    short = replace(QUEUE, claimable=2)
    chosen = takes([EMPTY], [short, replace(short, sweep="s2")], 64)
    assert [(t.sweep, t.limit) for t in chosen] == [("s1", 2), ("s2", 2)]


def test_a_worker_never_takes_two_packs_at_once() -> None:
    chosen = takes([EMPTY], [replace(QUEUE, claimable=2), Waiting("s2", 0, DEEP, 9, None)], 64)
    assert [t.sweep for t in chosen] == ["s1"]


def test_a_full_worker_and_a_busy_one_take_nothing() -> None:
    full = replace(EMPTY, held=80, pack=SHALLOW)
    assert takes([full, replace(EMPTY, name="b", idle=False)], [QUEUE], 64) == []


def test_a_sweep_keeps_to_its_numerics_class() -> None:
    pinned = replace(QUEUE, pinned="class-2")
    assert takes([EMPTY], [pinned], 64) == []
    assert stranded([EMPTY], [pinned, QUEUE]) == [pinned]


def test_a_sweep_is_not_stranded_before_any_worker_is_known() -> None:
    assert stranded([replace(EMPTY, classes={})], [replace(QUEUE, pinned="class-2")]) == []


def test_no_more_is_taken_than_may_be_claimed() -> None:
    slots = [replace(EMPTY, name=str(i)) for i in range(5)]
    assert sum(t.limit for t in takes(slots, [replace(QUEUE, claimable=7)], 64)) == 7

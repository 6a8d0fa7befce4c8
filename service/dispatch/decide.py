"""What each idle worker should do next: pure, so every rule is a table in a test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.store.suspicion import company
from workers.messages import PackSpec


@dataclass(frozen=True)
class Slot:
    """A worker as the decision sees it.

    Attributes:
        name: its name in the pool.
        idle: whether no call to it is in flight.
        held: trials that train or wait there.
        pack: what its lanes belong to; None when it has none.
        classes: experiment name -> numerics class id of what it would train.
        sealed: whether what it holds are suspects or a replay, to which nothing is added.
        place: what its trials' records call it.
    """

    name: str
    idle: bool
    held: int
    pack: PackSpec | None
    classes: dict[str, str]
    sealed: bool = False
    place: str = ""


@dataclass(frozen=True)
class Waiting:
    """A structure's queue as the decision sees it.

    Attributes:
        claimable: trials that may be claimed now.
        pinned: the numerics class that the sweep keeps to, or None before its first claim.
        suspects: trials that lost several workers and are claimed apart.
        losses: the most that one of them has lost.
        excluded: places of workers that get none of the sweep's trials.
    """

    sweep: str
    structure: int
    pack: PackSpec
    claimable: int
    pinned: str | None
    suspects: int = 0
    losses: int = 0
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Take:
    """Claim up to `limit` trials of a queue for a worker: its suspects, or the others."""

    worker: str
    sweep: str
    structure: int
    pack: PackSpec
    limit: int
    suspects: bool = False


class Replay(Protocol):
    """A replay that waits, as the decision sees it."""

    @property
    def id(self) -> int:
        """Which one."""
        ...

    @property
    def pack(self) -> PackSpec:
        """What its lane needs."""
        ...

    @property
    def class_id(self) -> str:
        """The numerics class of the outcome that it is compared with."""
        ...

    @property
    def author(self) -> str:
        """The place of the worker that recorded it."""
        ...

    @property
    def excluded(self) -> frozenset[str]:
        """Places of workers that get nothing of its sweep."""
        ...


def fits(slot: Slot, queue: Waiting) -> bool:
    """Whether a worker may train a queue's trials: pack and class agree, and it is not excluded."""
    if slot.place in queue.excluded:
        return False
    same = slot.pack is None or slot.held == 0 or slot.pack == queue.pack
    own = slot.classes.get(queue.pack.experiment)
    return same and own is not None and queue.pinned in (None, own)


def takes(slots: Sequence[Slot], queues: Sequence[Waiting], lanes: int) -> list[Take]:
    """Claims for the idle workers, earlier queues first.

    An empty worker first takes suspects, few enough to part one that kills workers from the others,
    and then nothing before it is empty again. A worker that holds lanes keeps to their pack; an
    empty one takes the first queue that fits.
    Work is spread so that every worker that fits ends with about the same number of lanes. While
    the queue is long, a quarter of a pack waits in the worker's buffer, so that lanes freed during
    the round trip are refilled at once.
    """
    chosen = _suspects(slots, queues, lanes)
    sealed = {take.worker for take in chosen}
    slots = [slot for slot in slots if not slot.sealed and slot.name not in sealed]
    left = [queue.claimable for queue in queues]
    held = {slot.name: slot.held for slot in slots}
    pack = {slot.name: slot.pack if slot.held else None for slot in slots}
    for slot in slots:
        if not slot.idle:
            continue
        for i, queue in enumerate(queues):
            settled = pack[slot.name] not in (None, queue.pack)
            if left[i] <= 0 or settled or not fits(slot, queue):
                continue
            rivals = [s for s in slots if fits(s, queue) and pack[s.name] in (None, queue.pack)]
            fair = -(-(left[i] + sum(held[s.name] for s in rivals)) // len(rivals))
            room = lanes + (lanes // 4 if fair > 2 * lanes else 0)
            limit = min(left[i], room - held[slot.name], max(1, fair - held[slot.name]))
            if limit <= 0:
                continue
            left[i] -= limit
            held[slot.name] += limit
            pack[slot.name] = queue.pack
            chosen.append(Take(slot.name, queue.sweep, queue.structure, queue.pack, limit))
    return chosen


def _suspects(slots: Sequence[Slot], queues: Sequence[Waiting], lanes: int) -> list[Take]:
    """A group of suspects for each empty idle worker, while there are some."""
    left = [queue.suspects for queue in queues]
    chosen: list[Take] = []
    for slot in slots:
        if not slot.idle or slot.held:
            continue
        fitting = (i for i, queue in enumerate(queues) if left[i] and fits(slot, queue))
        i = next(fitting, None)
        if i is not None:
            queue = queues[i]
            limit = min(left[i], company(queue.losses, lanes))
            left[i] -= limit
            take = Take(slot.name, queue.sweep, queue.structure, queue.pack, limit, suspects=True)
            chosen.append(take)
    return chosen


def replayed(slots: Sequence[Slot], asked: Sequence[Replay]) -> list[tuple[str, Replay]]:
    """Replays for workers that have nothing else, one each, those that were asked for first.

    A worker does not run its own trials again while another is of their class: one that is broken
    might break them the same way. One that was excluded from the sweep runs none of them.
    """
    chosen: list[tuple[str, Replay]] = []
    taken: set[int] = set()
    for slot in slots:
        if not slot.idle or slot.held:
            continue
        for replay in asked:
            if replay.id not in taken and _may_replay(slot, replay, slots):
                taken.add(replay.id)
                chosen.append((slot.name, replay))
                break
    return chosen


def _may_replay(slot: Slot, replay: Replay, slots: Sequence[Slot]) -> bool:
    def able(other: Slot) -> bool:
        same = other.classes.get(replay.pack.experiment) == replay.class_id
        return same and other.place not in replay.excluded

    others = any(able(s) and s.place != replay.author for s in slots)
    return able(slot) and (slot.place != replay.author or not others)


def offered(pinned: str, experiment: str, slots: Sequence[Slot]) -> Slot | None:
    """The worker whose class a sweep of changed code is offered: of its own, if there is one."""
    known = [slot for slot in slots if experiment in slot.classes]
    own = [slot for slot in known if slot.classes[experiment] == pinned]
    return next(iter(own + known), None)


def stranded(slots: Sequence[Slot], queues: Sequence[Waiting]) -> list[Waiting]:
    """Queues that are pinned to a class of which no described worker is: the code changed."""
    known = [slot for slot in slots if slot.classes]
    return [
        queue
        for queue in queues
        if queue.pinned is not None
        and known
        and all(slot.classes.get(queue.pack.experiment) != queue.pinned for slot in known)
    ]

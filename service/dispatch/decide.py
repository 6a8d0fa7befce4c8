"""What each idle worker should do next: pure, so every rule is a table in a test."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """

    name: str
    idle: bool
    held: int
    pack: PackSpec | None
    classes: dict[str, str]


@dataclass(frozen=True)
class Waiting:
    """A structure's queue as the decision sees it.

    Attributes:
        claimable: trials that may be claimed now.
        pinned: the numerics class that the sweep keeps to, or None before its first claim.
    """

    sweep: str
    structure: int
    pack: PackSpec
    claimable: int
    pinned: str | None


@dataclass(frozen=True)
class Take:
    """Claim up to `limit` trials of a queue for a worker."""

    worker: str
    sweep: str
    structure: int
    pack: PackSpec
    limit: int


def fits(slot: Slot, queue: Waiting) -> bool:
    """Whether a worker may train a queue's trials: pack and numerics class agree."""
    same = slot.pack is None or slot.held == 0 or slot.pack == queue.pack
    own = slot.classes.get(queue.pack.experiment)
    return same and own is not None and queue.pinned in (None, own)


def takes(slots: Sequence[Slot], queues: Sequence[Waiting], lanes: int) -> list[Take]:
    """Claims for the idle workers, earlier queues first.

    A worker that holds lanes keeps to their pack; an empty one takes the first queue that fits.
    Work is spread so that every worker that fits ends with about the same number of lanes. While
    the queue is long, a quarter of a pack waits in the worker's buffer, so that lanes freed during
    the round trip are refilled at once.
    """
    left = [queue.claimable for queue in queues]
    held = {slot.name: slot.held for slot in slots}
    pack = {slot.name: slot.pack if slot.held else None for slot in slots}
    chosen: list[Take] = []
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

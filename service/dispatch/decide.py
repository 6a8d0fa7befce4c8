"""What the decisions are about: workers, queues and takes, and which of them go together.

Everything here is pure, so that every rule is a table in a test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

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
        holds: sweep -> how many of `held` are its trials.
        due: whether it has kept to its pack for long enough to be left to drain for another.
    """

    name: str
    idle: bool
    held: int
    pack: PackSpec | None
    classes: dict[str, str]
    sealed: bool = False
    place: str = ""
    holds: Mapping[str, int] = field(default_factory=dict)
    due: bool = False


@dataclass(frozen=True)
class Waiting:
    """A structure's queue as the decision sees it.

    Attributes:
        claimable: trials that may be claimed now.
        pinned: the numerics class that the sweep keeps to, or None before its first claim.
        suspects: trials that lost several workers and are claimed apart.
        losses: the most that one of them has lost.
        excluded: places of workers that get none of the sweep's trials.
        owner: whose the sweep is.
        priority: the sweep's.
    """

    sweep: str
    structure: int
    pack: PackSpec
    claimable: int
    pinned: str | None
    suspects: int = 0
    losses: int = 0
    excluded: frozenset[str] = frozenset()
    owner: str = ""
    priority: int = 0


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


def able(slot: Slot, queue: Waiting) -> bool:
    """Whether an empty worker may train a queue's trials: of its class, and not excluded."""
    own = slot.classes.get(queue.pack.experiment)
    mine = own is not None and queue.pinned in (None, own)
    return mine and slot.place not in queue.excluded


def fits(slot: Slot, queue: Waiting) -> bool:
    """Whether a worker may train a queue's trials beside what it holds."""
    same = slot.pack is None or slot.held == 0 or slot.pack == queue.pack
    return same and able(slot, queue)


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
    """Queues that are pinned to a class of which no worker is that has their experiment."""

    def lost(queue: Waiting) -> bool:
        found = [s.classes.get(queue.pack.experiment) for s in slots]
        known = [name for name in found if name is not None]
        return bool(known) and queue.pinned is not None and queue.pinned not in known

    return [queue for queue in queues if lost(queue)]

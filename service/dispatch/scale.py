"""Scale: how many workers there should be, and which to let go; pure, so every rule is a table.

What asks for workers is work that would fill a pack's lanes. A worker that waits for a place is the
demand that Ray's autoscaler sees, and one that is let go is a node that may go.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from service.dispatch.decide import Slot, Waiting, able, stranded
from service.store.replays import Asked
from service.store.suspicion import company
from workers.messages import PackSpec


@dataclass(frozen=True)
class Member:
    """A worker, as this decision sees it.

    Attributes:
        pending: whether it has no place yet.
        idle_s: for how long it has had nothing to do; None while it has, or starts.
        useless: whether there is work, and none that it may do.
    """

    name: str
    pending: bool = False
    idle_s: float | None = None
    useless: bool = False


@dataclass(frozen=True)
class Demand:
    """How many workers the work could keep busy, and who of those that there are may do none."""

    workers: int
    useless: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """What to do: start so many more, and let these go."""

    more: int = 0
    go: tuple[str, ...] = ()


def wanted(
    slots: Sequence[Slot], queues: Sequence[Waiting], lanes: int, *, most: int = 0, replays: int = 0
) -> int:
    """How many workers the work could keep busy.

    Trials of one pack share workers, `lanes` on each; suspects and replays are alone on theirs, and
    so is what a worker holds that may take nothing of its pack that waits.

    Args:
        slots: the workers that there are.
        queues: what may be claimed.
        lanes: of a pack.
        most: trials that one owner may have at once; 0 for no limit.
        replays: that wait for a worker.
    """
    owners = {queue.sweep: queue.owner for queue in queues}
    running: Counter[str] = Counter()
    for slot in slots:
        running.update({owners[s]: n for s, n in slot.holds.items() if s in owners})
    sealed = [slot for slot in slots if slot.held and slot.sealed]
    packs: list[PackSpec] = []  # a pack's shape is no key of a mapping
    trials: list[int] = []

    def add(pack: PackSpec, count: int) -> None:
        if pack not in packs:
            packs.append(pack)
            trials.append(0)
        trials[packs.index(pack)] += count

    parted = 0
    for slot in slots:
        if slot.held and slot.pack is not None and not slot.sealed:
            beside = [queue for queue in queues if queue.pack == slot.pack]
            if beside and not any(able(slot, queue) for queue in beside):
                parted += 1
            else:
                add(slot.pack, slot.held)
    for queue in queues:
        room = most - running[queue.owner] if most else queue.claimable
        claimable = max(0, min(queue.claimable, room))
        running[queue.owner] += claimable
        add(queue.pack, claimable)
        if queue.suspects:
            parted += -(-queue.suspects // company(queue.losses, lanes))
    return sum(-(-count // lanes) for count in trials) + parted + len(sealed) + replays


def runnable(
    asked: Sequence[Asked], slots: Sequence[Slot], seen: Collection[tuple[str, str]]
) -> int:
    """How many replays ask for a worker: those of workers' classes.

    Where there is none, of classes that workers were of. Before the first one nobody knows of which
    it will be, so that it is asked for.

    Args:
        asked: replays that wait.
        slots: the workers that there are.
        seen: experiments and classes that workers have been of.
    """
    kinds = {kind for slot in slots for kind in slot.classes.items()} or seen
    if not kinds:
        return min(1, sum(some.count for some in asked))
    return sum(some.count for some in asked if (some.experiment, some.class_id) in kinds)


def useless(
    slots: Sequence[Slot], queues: Sequence[Waiting], asked: Sequence[Asked]
) -> frozenset[str]:
    """Idle workers that may do nothing of what waits, so that others are asked for.

    Those are workers that were excluded from it, trials and replays alike, of each place the newest
    alone: who comes in its stead may be at that place too. Of workers of another numerics class
    than trials' one at most counts, and only where none is of the class: the next that starts may
    be of it, or of theirs.
    """

    def may(slot: Slot) -> bool:
        trains = any(able(slot, queue) for queue in queues)
        return trains or any(_replays(slot, some) for some in asked)

    idle = [s for s in slots if s.idle and not s.held and s.classes and not may(s)]
    barred = [s for s in idle if may(replace(s, place=""))]
    foreign = [s.name for s in idle if s not in barred] if stranded(slots, queues) else []
    newest = {slot.place: slot.name for slot in barred}
    return frozenset([*newest.values(), *foreign[:1]])


def _replays(slot: Slot, some: Asked) -> bool:
    """Whether a worker may run replays: of their class, and not excluded."""
    return slot.classes.get(some.experiment) == some.class_id and slot.place not in some.excluded


def change(members: Sequence[Member], target: int, idle_limit_s: float, most: int) -> Change:
    """What makes the workers as many as there should be, at most `most`.

    Those that have no place go first, the newest before the others; then those that have been idle
    for long enough, the longest first. None that has something to do is let go. Those that may do
    nothing of what waits are not counted, and go once they have been idle for long enough.
    """
    idle = [m for m in members if not m.pending and m.idle_s is not None]
    idle.sort(key=lambda m: m.idle_s or 0.0, reverse=True)
    rested = [m for m in idle if (m.idle_s or 0.0) >= idle_limit_s]
    go = [m.name for m in rested if m.useless]
    surplus = sum(not m.useless for m in members) - target
    if surplus <= 0:
        room = most - len(members) + len(go)
        return Change(more=max(0, min(-surplus, room)), go=tuple(go))
    pending = [m.name for m in reversed(members) if m.pending]
    going = pending + [m.name for m in rested if not m.useless]
    return Change(go=tuple(going[:surplus] + go))


def target(wanted: int, least: int, most: int) -> int:
    """How many there should be."""
    return min(most, max(least, wanted))

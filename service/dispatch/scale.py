"""Scale: how many workers there should be, and which to let go; pure, so every rule is a table.

What asks for workers is work that would fill a pack's lanes. A worker that waits for a place is the
demand that Ray's autoscaler sees, and one that is let go is a node that may go.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from service.dispatch.decide import Slot, Waiting
from service.store.suspicion import company
from workers.messages import PackSpec


@dataclass(frozen=True)
class Member:
    """A worker, as this decision sees it.

    Attributes:
        pending: whether it has no place yet.
        idle_s: for how long it has had nothing to do; None while it has, or starts.
    """

    name: str
    pending: bool = False
    idle_s: float | None = None


@dataclass(frozen=True)
class Change:
    """What to do: start so many more, and let these go."""

    more: int = 0
    go: tuple[str, ...] = ()


def wanted(
    slots: Sequence[Slot], queues: Sequence[Waiting], lanes: int, *, most: int = 0, replays: int = 0
) -> int:
    """How many workers the work could keep busy.

    Trials of one pack share workers, `lanes` on each; suspects and replays are alone on theirs.

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

    for slot in slots:
        if slot.held and slot.pack is not None and not slot.sealed:
            add(slot.pack, slot.held)
    parted = 0
    for queue in queues:
        room = most - running[queue.owner] if most else queue.claimable
        claimable = max(0, min(queue.claimable, room))
        running[queue.owner] += claimable
        add(queue.pack, claimable)
        if queue.suspects:
            parted += -(-queue.suspects // company(queue.losses, lanes))
    return sum(-(-count // lanes) for count in trials) + parted + len(sealed) + replays


def change(members: Sequence[Member], target: int, idle_limit_s: float) -> Change:
    """What makes the workers as many as there should be.

    Those that have no place go first, the newest before the others; then those that have been idle
    for long enough, the longest first. None that has something to do is let go.
    """
    surplus = len(members) - target
    if surplus <= 0:
        return Change(more=-surplus)
    pending = [m.name for m in reversed(members) if m.pending]
    idle = [m for m in members if not m.pending and m.idle_s is not None]
    idle.sort(key=lambda m: m.idle_s or 0.0, reverse=True)
    rested = [m.name for m in idle if (m.idle_s or 0.0) >= idle_limit_s]
    return Change(go=tuple((pending + rested)[:surplus]))


def target(wanted: int, least: int, most: int) -> int:
    """How many there should be."""
    return min(most, max(least, wanted))

"""Filling: which trials each idle worker claims next, whose it is owed most first."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.dispatch.decide import Slot, Take, Waiting, able, fits
from service.dispatch.shares import Ledger, Standing, wanting
from service.dispatch.yielding import leaving
from service.store.suspicion import company

#: where several sweeps wait for one worker's lanes, they take turns in pieces of so many of a pack
_PIECES = 16


@dataclass(frozen=True)
class Decided:
    """What was decided: claims, and the ledger that the next decision begins with."""

    takes: list[Take]
    ledger: Ledger


def decide(
    slots: Sequence[Slot],
    queues: Sequence[Waiting],
    lanes: int,
    ledger: Ledger,
    *,
    most: int = 0,
    starting: int = 0,
) -> Decided:
    """Claims for the idle workers, by queue: those of whoever is owed most first.

    A worker that holds lanes keeps to their pack. An empty one takes that of the sweep that is owed
    most, unless its last pack has not had its quantum; it first takes suspects of that sweep, few
    enough to part one that kills workers from the others, and then nothing before it is empty
    again. One whose pack has had its quantum is left to drain, if a sweep of another pack is owed
    more.

    Work is spread so that every worker that fits ends with about the same number of lanes. While
    the queue is long, a quarter of a pack waits in the worker's buffer, so that lanes freed during
    the round trip are refilled at once.

    Args:
        ledger: what everybody has had so far.
        most: trials that one owner may have at once; 0 for no limit.
        starting: workers that are about to be there; their part of the work is left to them.
    """
    ledger = ledger.admitted(queues, slots)
    used = Standing(ledger, slots, queues, most)
    gone = leaving(slots, queues, lanes, used, starting)
    standing = Standing(ledger, slots, queues, most)
    staying = [slot for slot in slots if slot.name not in gone]
    filling = _Filling(staying, queues, lanes, standing, starting)
    filling.fill()
    chosen = filling.chosen()
    return Decided(chosen, ledger.wanting(wanting(queues, chosen, standing)))


def takes(
    slots: Sequence[Slot],
    queues: Sequence[Waiting],
    lanes: int,
    ledger: Ledger | None = None,
    *,
    most: int = 0,
    starting: int = 0,
) -> list[Take]:
    """The claims of `decide`; without a ledger nobody has had anything yet."""
    found = decide(slots, queues, lanes, ledger or Ledger(), most=most, starting=starting)
    return found.takes


class _Filling:
    def __init__(
        self,
        slots: Sequence[Slot],
        queues: Sequence[Waiting],
        lanes: int,
        standing: Standing,
        starting: int,
    ) -> None:
        self._queues = queues
        self._lanes = lanes
        self._standing = standing
        self._starting = starting
        self._slots = {s.name: s for s in slots if not s.sealed}
        self._left = [queue.claimable for queue in queues]
        self._suspects = [queue.suspects for queue in queues]
        self._held = {name: s.held for name, s in self._slots.items()}
        self._pack = {name: s.pack if s.held else None for name, s in self._slots.items()}
        self._limits: dict[tuple[bool, int, int], int] = {}

    def chosen(self) -> list[Take]:
        """By queue, suspects first, so that one statement claims for several workers."""
        names = list(self._slots)
        found = []
        for (ordinary, i, place), limit in sorted(self._limits.items()):
            queue = self._queues[i]
            apart = not ordinary
            take = Take(names[place], queue.sweep, queue.structure, queue.pack, limit, apart)
            found.append(take)
        return found

    def fill(self) -> None:
        """Twice: what a worker left to others in the first round, these may have left too."""
        names = list(self._slots)
        sealed: set[str] = set()
        for again in (False, True):
            for place, name in enumerate(names):
                if self._slots[name].idle and name not in sealed:
                    self._fill(place, name, sealed, again=again)

    def _fill(self, place: int, name: str, sealed: set[str], *, again: bool) -> None:
        most: int | None = None
        while True:
            waiting = [i for i in range(len(self._queues)) if self._waits(i, name)]
            if not waiting:
                return
            i = self._first(waiting, name)
            apart = self._apart(i, name)
            if apart is not None:
                self._give(place, name, apart, self._some(apart, self._company(apart)), apart=True)
                sealed.add(name)
                return
            if most is None:
                most = self._most(name, self._queues[i], sealed, again=again)
            several = len({self._queues[j].sweep for j in waiting if self._beside(j, i)}) > 1
            piece = max(1, self._lanes // _PIECES) if several else self._left[i]
            limit = self._some(i, min(piece, self._left[i], most - self._held[name]))
            if limit <= 0:
                return
            self._give(place, name, i, limit)

    def _first(self, waiting: Sequence[int], name: str) -> int:
        """Of whoever is owed most; of the worker's last pack, if that has not had its quantum."""

        def owed(i: int) -> tuple[float, int]:
            return self._standing.owed(self._queues[i].sweep), i

        first, slot = min(waiting, key=owed), self._slots[name]
        last = [i for i in waiting if self._queues[i].pack == slot.pack]
        if slot.due or not last:
            return first
        kept = min(last, key=owed)
        return first if self._queues[kept].sweep == self._queues[first].sweep else kept

    def _waits(self, i: int, name: str) -> bool:
        queue, slot, pack = self._queues[i], self._slots[name], self._pack[name]
        some = self._left[i] > 0 or (self._suspects[i] > 0 and not self._held[name])
        same = pack is None or pack == queue.pack
        return some and same and fits(slot, queue) and self._standing.room(queue.sweep) != 0

    def _beside(self, j: int, i: int) -> bool:
        return self._queues[j].pack == self._queues[i].pack

    def _apart(self, i: int, name: str) -> int | None:
        """The first queue of this sweep with suspects, for an empty worker."""
        if self._held[name]:
            return None
        sweep = self._queues[i].sweep
        mine = (j for j, queue in enumerate(self._queues) if queue.sweep == sweep)
        return next((j for j in mine if self._suspects[j] > 0 and self._waits(j, name)), None)

    def _company(self, i: int) -> int:
        return min(self._suspects[i], company(self._queues[i].losses, self._lanes))

    def _most(self, name: str, queue: Waiting, sealed: set[str], *, again: bool) -> int:
        """How many trials a worker should hold of a pack, others' lanes of it considered."""
        rivals = [
            s
            for s in self._slots.values()
            if s.name not in sealed and able(s, queue) and self._pack[s.name] in (None, queue.pack)
        ]
        here = self._slots[name]
        left = sum(
            n
            for n, other in zip(self._left, self._queues, strict=True)
            if other.pack == queue.pack and able(here, other)
        )
        held = sum(self._held[s.name] for s in rivals)
        fair = -(-(left + held) // (len(rivals) + self._starting))
        room = self._lanes + (self._lanes // 4 if fair > 2 * self._lanes else 0)
        return min(room, fair if again else max(self._held[name] + 1, fair))

    def _some(self, i: int, limit: int) -> int:
        room = self._standing.room(self._queues[i].sweep)
        return limit if room is None else min(limit, room)

    def _give(self, place: int, name: str, i: int, limit: int, *, apart: bool = False) -> None:
        queue = self._queues[i]
        if apart:
            self._suspects[i] -= limit
        else:
            self._left[i] -= limit
        self._held[name] += limit
        self._pack[name] = queue.pack
        self._standing.give(name, queue.sweep, limit)
        key = (not apart, i, place)
        self._limits[key] = self._limits.get(key, 0) + limit

"""Yielding: which workers are left to drain, so that a sweep of another structure gets them."""

from collections.abc import Iterable, Sequence

from service.dispatch.decide import Slot, Waiting, able
from service.dispatch.shares import Standing


def leaving(
    slots: Sequence[Slot],
    queues: Sequence[Waiting],
    lanes: int,
    standing: Standing,
    starting: int = 0,
) -> set[str]:
    """Workers that hold lanes and get no more of them.

    One whose pack has had its quantum is left to drain where whoever would refill it is owed less
    than somebody who waits for another structure and finds no room with workers that have lanes of
    that structure, are empty, start, or drain already. Both are judged as if the worker held
    nothing. Those that hold fewest come first, so that one that drains goes on to.

    Args:
        standing: of all queues; it is used up.
        starting: workers that are about to be there.
    """
    return _Leaving(slots, queues, lanes, standing).found(starting)


class _Leaving:
    def __init__(
        self, slots: Sequence[Slot], queues: Sequence[Waiting], lanes: int, standing: Standing
    ) -> None:
        self._slots = [slot for slot in slots if not slot.sealed]
        self._queues = queues
        self._lanes = lanes
        self._standing = standing
        #: trials of each queue for which no room is known yet
        self._want = [queue.claimable + queue.suspects for queue in queues]

    def found(self, starting: int) -> set[str]:
        """See `leaving`."""
        holding = sorted((s for s in self._slots if s.held), key=lambda s: (s.held, s.name))
        for slot in holding:
            self._room(slot)
        for slot in self._slots:
            if slot.idle and not slot.held:
                if not slot.due:
                    self._room(slot)
                self._promise(slot)
        for _ in range(starting):
            i = self._first(range(len(self._queues)))
            if i is not None:
                self._want[i] -= self._lanes
        return {slot.name for slot in holding if self._leaves(slot)}

    def _room(self, slot: Slot) -> None:
        """Beside a worker's lanes there is room for more of their pack."""
        room = self._lanes - slot.held
        for i, queue in enumerate(self._queues):
            if queue.pack == slot.pack and able(slot, queue) and room > 0:
                some = min(room, max(0, self._want[i]))
                self._want[i] -= some
                room -= some

    def _leaves(self, slot: Slot) -> bool:
        holds = self._standing.clear(slot.name)
        mine = self._best(
            i
            for i, q in enumerate(self._queues)
            if q.pack == slot.pack and q.claimable and able(slot, q)
        )
        if mine is None:
            self._promise(slot)  # nothing refills it: it is somebody else's soon
            return False
        other = self._first(
            i for i, q in enumerate(self._queues) if q.pack != slot.pack and able(slot, q)
        )
        if slot.due and other is not None and self._owed(other) < self._owed(mine):
            self._give(slot, other)
            return True
        self._standing.put(slot.name, holds)
        return False

    def _promise(self, slot: Slot) -> None:
        i = self._first(i for i, q in enumerate(self._queues) if able(slot, q))
        if i is not None:
            self._give(slot, i)

    def _give(self, slot: Slot, i: int) -> None:
        some = min(self._want[i], self._lanes)
        self._want[i] -= some
        self._standing.give(slot.name, self._queues[i].sweep, some)

    def _first(self, among: Iterable[int]) -> int | None:
        """Of these queues that of whoever is owed most and finds no room."""
        return self._best(i for i in among if self._want[i] > 0)

    def _best(self, among: Iterable[int]) -> int | None:
        open_to = (i for i in among if self._standing.room(self._queues[i].sweep) != 0)
        return min(open_to, key=lambda i: (self._owed(i), i), default=None)

    def _owed(self, i: int) -> float:
        return self._standing.owed(self._queues[i].sweep)

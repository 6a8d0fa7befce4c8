"""Absence: since when sweeps wait without a worker of their numerics class; values, no clock.

A worker may be away for a moment: it died and its next one starts, or workers say one by one who
they are. So a sweep is paused for a change of code only once that has lasted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from service.dispatch.decide import Slot, Waiting, stranded

#: a class of which there is no worker for so long is gone
ABSENT_S = 60.0

#: an experiment's name, and a numerics class id of it
Kind = tuple[str, str]


@dataclass(frozen=True)
class Absence:
    """What is known of classes that sweeps keep to.

    Attributes:
        elastic: whether workers come when there is work, of whichever class.
        seen: what workers have been of since this dispatcher is active.
        since: what queues wait for in vain -> the moment at which that began.
    """

    elastic: bool
    seen: frozenset[Kind] = frozenset()
    since: Mapping[Kind, float] = field(default_factory=dict)

    def met(self, slots: Sequence[Slot]) -> "Absence":
        """The same, with what these workers are of."""
        return replace(self, seen=self.seen.union(*(slot.classes.items() for slot in slots)))

    def after(self, slots: Sequence[Slot], queues: Sequence[Waiting], moment: float) -> "Absence":
        """The same, at a moment at which these wait."""
        kinds = [kind_of(queue) for queue in stranded(slots, queues)]
        return replace(self, since={kind: self.since.get(kind, moment) for kind in kinds})

    def gone(self, queue: Waiting, moment: float) -> bool:
        """Whether a stranded queue's class is gone, provided that no worker is starting.

        A class that was there may come back, and so may any where workers come with work. Else all
        workers have said who they are, and none is of it.
        """
        kind = kind_of(queue)
        lasted = moment - self.since.get(kind, moment) >= ABSENT_S
        return lasted or not (self.elastic or kind in self.seen)


def kind_of(queue: Waiting) -> Kind:
    """What a pinned queue waits for."""
    assert queue.pinned is not None  # noqa: S101 - only such a queue can be stranded
    return queue.pack.experiment, queue.pinned

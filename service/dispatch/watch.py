"""What a dispatcher did, in numbers, for whoever counts: pure, and of committed turns only."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from service.dispatch.peers import Peer
from service.dispatch.turn import Turn
from workers.messages import Return
from workers.pool import Reply


@dataclass(frozen=True)
class Call:
    """One answered call to a worker that trained."""

    worker: str
    seconds: float
    lane_steps: int


@dataclass(frozen=True)
class Turned:
    """One committed turn.

    Attributes:
        seconds: from its first statement to its commit.
        claimed: trials that were claimed.
        outcomes: end state -> outcomes that were returned, late ones too.
        raised: attempts that raised.
        dropped: trials that workers dropped at a boundary, as they were told to.
        lane_steps: that answers say were trained.
        training_s: seconds of workers that they took.
        workers_lost: workers that are gone.
        trials_lost: what they held.
        refused: late writes that the store refused.
        taken_over: trials that ran in the store and were held by no worker.
        replayed: replays that were answered.
        calls: the calls that were answered, replays apart.
    """

    seconds: float
    claimed: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    raised: int = 0
    dropped: int = 0
    lane_steps: int = 0
    training_s: float = 0.0
    workers_lost: int = 0
    trials_lost: int = 0
    refused: int = 0
    taken_over: int = 0
    replayed: int = 0
    calls: tuple[Call, ...] = ()


class Watch(Protocol):
    """Whoever counts; called from the dispatcher's thread, and never raises."""

    def turned(self, turned: Turned) -> None:
        """A turn was committed."""
        ...

    def failed(self, *, unreachable: bool) -> None:
        """A turn failed, of a store that could not be reached or of something else."""
        ...

    def stands(self, peers: Collection[Peer], wanted: int, lanes: int) -> None:
        """The workers as they are after a round: those there are, and how many there should be.

        Only the active dispatcher has rounds.

        Args:
            lanes: most lanes of a pack.
        """
        ...

    def rests(self) -> None:
        """It is not the active dispatcher any more."""
        ...


class Unwatched:
    """Nobody counts."""

    def turned(self, turned: Turned) -> None:
        """Nothing."""

    def failed(self, *, unreachable: bool) -> None:
        """Nothing."""

    def stands(self, peers: Collection[Peer], wanted: int, lanes: int) -> None:
        """Nothing."""

    def rests(self) -> None:
        """Nothing."""


class Watches:
    """Several that count, as one."""

    def __init__(self, *watches: Watch) -> None:
        self._watches = watches

    def turned(self, turned: Turned) -> None:
        """A turn was committed."""
        for watch in self._watches:
            watch.turned(turned)

    def failed(self, *, unreachable: bool) -> None:
        """A turn failed."""
        for watch in self._watches:
            watch.failed(unreachable=unreachable)

    def stands(self, peers: Collection[Peer], wanted: int, lanes: int) -> None:
        """The workers as they are."""
        for watch in self._watches:
            watch.stands(peers, wanted, lanes)

    def rests(self) -> None:
        """It is not the active dispatcher any more."""
        for watch in self._watches:
            watch.rests()


def turned(
    turn: Turn, replies: Sequence[Reply], before: Mapping[str, Peer], seconds: float
) -> Turned:
    """A turn in numbers.

    Args:
        replies: that it recorded.
        before: the workers as they stood before it.
    """
    known = [r for r in replies if r.worker in before]
    answers = [r for r in known if isinstance(r.value, Return)]
    training = [
        r.value for r in known if isinstance(r.value, Return) and before[r.worker].replay is None
    ]
    added = [order.add for name, order in turn.orders.items() if turn.peers[name].replay is None]
    trials = Counter[str]()
    for note in turn.notes:
        trials[note.event] += note.fields.get("trials", 1)
    return Turned(
        seconds=seconds,
        claimed=sum(map(len, added)),
        outcomes=Counter[str](o.end_state for value in training for o in value.outcomes),
        raised=sum(len(value.failures) for value in training),
        dropped=sum(len(value.dropped) for value in training),
        lane_steps=sum(value.lane_steps for value in training),
        training_s=sum(value.seconds for value in training),
        workers_lost=len(turn.lost),
        trials_lost=trials["worker_lost"],
        refused=trials["late_write_refused"],
        taken_over=trials["trials_taken_over"],
        replayed=len(answers) - len(training),
        calls=tuple(
            Call(r.worker, r.value.seconds, r.value.lane_steps)
            for r in known
            if isinstance(r.value, Return) and before[r.worker].replay is None
        ),
    )

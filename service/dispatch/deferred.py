"""Deferred: what workers told of a sweep that somebody else had locked, kept for a later turn.

An answer is taken apart by sweep, so that one that is locked holds up neither the others nor the
worker, which goes on. What is deferred lives in memory only, as answers do: should it be lost, its
trials run again from the same streams.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workers.messages import Failure, Outcome, Return

Pair = tuple[int, int]
_UNKNOWN = ""


@dataclass(frozen=True)
class Lost:
    """Trials that a worker held when it was lost.

    Attributes:
        together: how many it held, of all sweeps.
    """

    sweep: str
    worker: str
    pairs: tuple[Pair, ...]
    together: int


@dataclass(frozen=True)
class Ended:
    """Trials that ended, raised or were dropped, by one answer.

    Attributes:
        sweep: '' of trials that the worker was not known to hold.
        checkpointed: those that may have a checkpoint in storage.
        together: how many trials the answer told of, of all sweeps.
    """

    sweep: str
    worker: str
    numerics_id: str
    outcomes: tuple[Outcome, ...]
    failures: tuple[Failure, ...]
    dropped: tuple[Pair, ...]
    checkpointed: tuple[int, ...]
    together: int

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All of them."""
        every: list[Outcome | Failure] = [*self.outcomes, *self.failures]
        return (*((item.trial, item.attempt) for item in every), *self.dropped)

    def refused(self) -> Lost:
        """As if the worker had been lost: the store does not take it."""
        return Lost(self.sweep, self.worker, self.pairs, self.together)


@dataclass(frozen=True)
class ReplayLost:
    """A replay whose worker was lost."""

    sweep: str
    worker: str
    replay: int

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """None: a replay is no attempt."""
        return ()


@dataclass(frozen=True)
class Replayed:
    """What a replay came to, and where."""

    sweep: str
    worker: str
    replay: int
    came: tuple[Outcome | Failure, ...]
    place: str

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """None: a replay is no attempt."""
        return ()

    def refused(self) -> ReplayLost:
        """As if the worker had been lost."""
        return ReplayLost(self.sweep, self.worker, self.replay)


News = Ended | Lost | Replayed | ReplayLost


def ended(
    worker: str, numerics_id: str, sweeps: Mapping[int, str], answer: Return
) -> Iterable[Ended]:
    """What ended by an answer, sweep by sweep.

    Args:
        sweeps: trial -> sweep of what the worker held before it.
    """

    def of(trial: int) -> str:
        return sweeps.get(trial, _UNKNOWN)

    every: list[Outcome | Failure] = [*answer.outcomes, *answer.failures]
    named = {of(item.trial) for item in every} | {of(trial) for trial, _ in answer.dropped}
    for sweep in sorted(named | {of(trial) for trial in answer.checkpointed}):
        yield Ended(
            sweep,
            worker,
            numerics_id,
            outcomes=tuple(o for o in answer.outcomes if of(o.trial) == sweep),
            failures=tuple(f for f in answer.failures if of(f.trial) == sweep),
            dropped=tuple(pair for pair in answer.dropped if of(pair[0]) == sweep),
            checkpointed=tuple(t for t in answer.checkpointed if of(t) == sweep),
            together=len(every) + len(answer.dropped),
        )


def lost(worker: str, held: Iterable[Pair], sweeps: Mapping[int, str]) -> Iterable[Lost]:
    """What a lost worker held, sweep by sweep."""
    pairs = sorted(held)
    for sweep in sorted({sweeps.get(trial, _UNKNOWN) for trial, _ in pairs}):
        mine = tuple(pair for pair in pairs if sweeps.get(pair[0], _UNKNOWN) == sweep)
        yield Lost(sweep, worker, mine, len(pairs))

"""Peers: what the dispatcher knows of its workers, as values that a turn replaces."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from models.catalog import experiments
from service.dispatch.decide import Slot, Take
from service.dispatch.quantum import over
from workers.messages import (
    Assignment,
    Order,
    PackSpec,
    Return,
    WorkerDescription,
    class_id,
    numerics_of,
)
from workers.pool import Reply


class Workers(Protocol):
    """What the loop needs of `workers.pool.Pool`."""

    size: int

    def spawn(self) -> str:
        """Starts a worker; its description comes from `wait`."""
        ...

    def pending(self) -> frozenset[str]:
        """Workers that wait for a place; raises ClusterLostError."""
        ...

    def send(self, worker: str, order: Order) -> None:
        """Starts a call."""
        ...

    def wait(self, timeout_s: float) -> list[Reply]:
        """Answers that have come."""
        ...

    def discard(self, worker: str) -> None:
        """Ends a worker."""
        ...


@dataclass(frozen=True)
class Peer:
    """A worker as the dispatcher knows it.

    Attributes:
        held: (trial, attempt) that it trains or keeps in its buffer.
        longest_s: the longest call to its pack so far; None before the first answer.
        sweeps: held trial -> its sweep.
        steps: held trial -> steps that it had done at the last answer.
        sealed: whether what it holds are suspects or a replay, to which nothing is added.
        numerics: experiment name -> numerics of what this worker would train.
        classes: experiment name -> the id of that.
        replay: the replay that it runs, and nothing else; None when it runs none.
        since: when it took its first trials of this pack; None before.
        most: the most that it has held of the pack at once.
        ended: trials that have ended here since.
    """

    description: WorkerDescription | None = None
    pack: PackSpec | None = None
    held: frozenset[tuple[int, int]] = frozenset()
    busy: bool = True
    longest_s: float | None = None
    sweeps: Mapping[int, str] = field(default_factory=dict)
    steps: Mapping[int, int] = field(default_factory=dict)
    sealed: bool = False
    numerics: Mapping[str, dict[str, str]] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    replay: int | None = None
    since: datetime | None = None
    most: int = 0
    ended: int = 0

    @property
    def node(self) -> str:
        """Where it runs."""
        return self.description.node if self.description is not None else ""

    def introduced(self, description: WorkerDescription) -> "Peer":
        """The same, once it has described itself."""
        numerics = {
            name: numerics_of(description.numerics, experiment.tile)
            for name, experiment in experiments().items()
        }
        classes = {name: class_id(n) for name, n in numerics.items()}
        return replace(
            self, description=description, busy=False, numerics=numerics, classes=classes
        )

    def took(self, take: Take, found: Sequence[Assignment], now: datetime) -> "Peer":
        """The same, with trials that were claimed for it."""
        if not found:
            return self
        held = self.held | {(a.trial, a.attempt) for a in found}
        new = take.pack != self.pack or self.since is None
        return replace(
            self,
            pack=take.pack,
            held=held,
            since=now if new else self.since,
            most=len(held) if new else max(self.most, len(held)),
            ended=0 if new else self.ended,
            sweeps={**self.sweeps, **{a.trial: take.sweep for a in found}},
            longest_s=self.longest_s if take.pack == self.pack else None,
            sealed=self.sealed or take.suspects,
        )

    def replaying(self, replay: int, pack: PackSpec, task: Assignment) -> "Peer":
        """The same, with a trial to run again, alone."""
        return replace(
            self,
            pack=pack,
            held=frozenset([(task.trial, task.attempt)]),
            longest_s=self.longest_s if pack == self.pack else None,
            sealed=True,
            replay=replay,
            since=None,
        )

    def returned(self, answer: Return) -> "Peer":
        """The same, after an answer."""
        trials = [trial for trial, _ in answer.held]
        return replace(
            self,
            held=frozenset(answer.held),
            sweeps={trial: self.sweeps[trial] for trial in trials if trial in self.sweeps},
            steps=dict(zip(trials, answer.steps, strict=False)),
            busy=False,
            longest_s=max(self.longest_s or 0.0, answer.seconds),
            sealed=self.sealed and bool(answer.held),
            replay=self.replay if answer.held else None,
            ended=self.ended + len(answer.outcomes) + len(answer.failures),
        )

    def holds(self) -> dict[str, int]:
        """Sweep -> its trials here; nothing while a replay runs."""
        return {} if self.replay is not None else dict(Counter(self.sweeps.values()))

    def due(self, now: datetime) -> bool:
        """Whether it may be left to drain for another pack."""
        held_s = 0.0 if self.since is None else (now - self.since).total_seconds()
        return over(held_s, self.ended, self.most)


def installed() -> frozenset[str]:
    """Names of experiments that this process can give to workers."""
    return frozenset(experiments())


def slots(peers: Mapping[str, Peer], now: datetime) -> list[Slot]:
    """The workers as the decision sees them."""
    return [
        Slot(
            name,
            not p.busy,
            len(p.held),
            p.pack,
            dict(p.classes),
            p.sealed,
            p.node or name,
            p.holds(),
            p.due(now),
        )
        for name, p in peers.items()
    ]

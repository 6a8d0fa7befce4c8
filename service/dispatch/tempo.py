"""Tempo: what the dispatcher keeps of a sweep to foretell its end; pure.

Time counts only while a worker holds a trial of the sweep: neither a pause nor a stopped service
makes a sweep look slow. What is written down at each mark is all of it, so that a new dispatcher
goes on where an earlier one stood, but for what happened since the last mark.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from service.dispatch.peers import Peer
from service.planning.eta import WINDOW, Eta, Mark, eta
from service.planning.remaining import BINS, left, place_of
from workers.messages import Return

#: a mark each time that so large a share of the sweep has been done
SHARE = 0.005
_NONE = (0,) * (BINS + 1)


@dataclass(frozen=True)
class Tempo:
    """A sweep's pace so far.

    Attributes:
        trials: of the sweep, when last asked.
        since: the last turn in which a worker held some of it; None while none does.
        active_s: seconds in which a worker did.
        work: budgets trained in them.
        lengths: trials that ended, by share of their budget.
        marks: the last ones.
        reached: the share done at the last mark, in units of `SHARE`; -1 before the first.
    """

    trials: int
    since: datetime | None = None
    active_s: float = 0.0
    work: float = 0.0
    lengths: tuple[int, ...] = _NONE
    marks: tuple[Mark, ...] = ()
    reached: int = -1

    def passed(self, now: datetime, most_s: float) -> "Tempo":
        """The same, after the time since the last turn; a clock that leaps counts for `most_s`."""
        if self.since is None:
            return self
        seconds = min(max(0.0, (now - self.since).total_seconds()), most_s)
        return replace(self, active_s=self.active_s + seconds)

    def trained(self, did: "Trained") -> "Tempo":
        """The same, with what an answer brought."""
        lengths = list(self.lengths)
        for place in did.places:
            lengths[place] += 1
        return replace(self, work=self.work + did.work, lengths=tuple(lengths))

    def due(self, ages: Sequence[float]) -> int | None:
        """The share that a new mark would stand at; None while the last is near enough."""
        share = int((sum(self.lengths) + sum(ages)) / self.trials / SHARE + 1e-9)
        return share if share > self.reached and self.work > 0 else None

    def marked(self, share: int) -> "Tempo":
        """The same, with a mark."""
        marks = (*self.marks, Mark(self.active_s, self.work))
        return replace(self, marks=marks[-WINDOW - 1 :], reached=share)

    def end(self, ended: int, ages: Sequence[float]) -> Eta | None:
        """When the sweep will have ended; `ended` are all of its terminal trials."""
        if not self.marks:
            return None
        rest = left(self.lengths, ages, max(0, self.trials - ended - len(ages)))
        return eta(self.marks, rest, len(ages))

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "active_s": self.active_s,
            "work": self.work,
            "lengths": list(self.lengths),
            "marks": [[m.active_s, m.work] for m in self.marks],
            "reached": self.reached,
        }


def recorded(record: Mapping[str, Any] | None, trials: int) -> Tempo:
    """A tempo as it was written down, or a new one."""
    if record is None:
        return Tempo(trials)
    return Tempo(
        trials=trials,
        active_s=record["active_s"],
        work=record["work"],
        lengths=tuple(record["lengths"]),
        marks=tuple(Mark(*m) for m in record["marks"]),
        reached=record["reached"],
    )


@dataclass
class Trained:
    """What an answer brought of one sweep.

    Attributes:
        work: budgets trained.
        places: of each trial that ended, the bin of its length.
    """

    work: float = 0.0
    places: list[int] = field(default_factory=list)


def trained(peer: Peer, answer: Return) -> Mapping[str, Trained]:
    """Sweep -> what an answer brought of it.

    Args:
        peer: the worker as it stood before.
    """
    found: dict[str, Trained] = defaultdict(Trained)
    if peer.pack is None:
        return found
    budget = peer.pack.steps
    held = ((trial, steps) for (trial, _), steps in zip(answer.held, answer.steps, strict=False))
    ended = ((outcome.trial, outcome.steps) for outcome in answer.outcomes)
    for trial, steps in (*held, *ended):
        if trial in peer.sweeps:
            more = max(0, steps - peer.steps.get(trial, 0))
            found[peer.sweeps[trial]].work += more / budget
    for outcome in answer.outcomes:
        if outcome.trial in peer.sweeps:
            found[peer.sweeps[outcome.trial]].places.append(place_of(outcome.steps, budget))
    return found


def ages(peers: Iterable[Peer]) -> Mapping[str, list[float]]:
    """Sweep -> of each trial that a worker holds, the share of its budget that it has done."""
    found: dict[str, list[float]] = defaultdict(list)
    for peer in peers:
        for trial, sweep in peer.sweeps.items():
            if peer.pack is not None:
                found[sweep].append(peer.steps.get(trial, 0) / peer.pack.steps)
    return found

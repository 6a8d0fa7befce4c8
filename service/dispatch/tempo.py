"""Tempo: what the dispatcher keeps of a sweep to foretell its end; pure.

Time counts only while a worker holds a trial of the sweep: neither a pause nor a stopped service
makes a sweep look slow. What is written down at each mark is all of it, so that a new dispatcher
goes on where an earlier one stood, but for what happened since the last mark.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import fmean
from typing import Any

from service.dispatch.peers import Peer
from service.planning.eta import WINDOW, Eta, Mark, eta
from service.planning.remaining import BINS, left, place_of
from service.store.widths import structure_hash
from workers.messages import Return

#: a mark each time that so large a share of the sweep has been done
SHARE = 0.005
_NONE = (0,) * (BINS + 1)
#: structure hash -> budgets
Work = Mapping[str, float]


@dataclass(frozen=True)
class Running:
    """A trial that a worker holds: its structure, and the share of its budget that it has done."""

    structure: str
    age: float


@dataclass(frozen=True)
class Tempo:
    """A sweep's pace so far.

    Attributes:
        trials: of the sweep, when last asked.
        since: the last turn in which a worker held some of it; None while none does.
        active_s: seconds in which a worker did.
        fresh: trained since the last mark.
        lengths: trials that ended, by share of their budget.
        marks: the last ones: active seconds, and what was trained since the mark before.
        reached: the share done at the last mark, in units of `SHARE`; -1 before the first.
    """

    trials: int
    since: datetime | None = None
    active_s: float = 0.0
    fresh: Work = field(default_factory=dict)
    lengths: tuple[int, ...] = _NONE
    marks: tuple[tuple[float, Work], ...] = ()
    reached: int = -1

    def passed(self, now: datetime, most_s: float) -> "Tempo":
        """The same, after the time since the last turn; a clock that leaps counts for `most_s`."""
        if self.since is None:
            return self
        seconds = min(max(0.0, (now - self.since).total_seconds()), most_s)
        return replace(self, active_s=self.active_s + seconds)

    def trained(self, did: "Trained", structure: str) -> "Tempo":
        """The same, with what an answer brought of a structure."""
        lengths = list(self.lengths)
        for place in did.places:
            lengths[place] += 1
        fresh = {**self.fresh, structure: self.fresh.get(structure, 0.0) + did.work}
        return replace(self, fresh=fresh, lengths=tuple(lengths))

    def sized(self, trials: int) -> "Tempo":
        """The same of a sweep of so many trials now; its last mark stands at a lower share."""
        return replace(self, trials=trials, reached=self.reached * self.trials // trials)

    def due(self, running: Sequence[Running]) -> int | None:
        """The share that a new mark would stand at; None while the last is near enough."""
        done = sum(self.lengths) + sum(r.age for r in running)
        share = int(done / self.trials / SHARE + 1e-9)
        return share if share > self.reached and any(self.fresh.values()) else None

    def marked(self, share: int) -> "Tempo":
        """The same, with a mark."""
        marks = (*self.marks, (self.active_s, self.fresh))
        return replace(self, marks=marks[-WINDOW - 1 :], fresh={}, reached=share)

    def end(
        self, running: Sequence[Running], waiting: Mapping[str, int], speeds: Mapping[str, float]
    ) -> Eta | None:
        """When the sweep will have ended.

        A budget costs as much as its structure is slow, so that a grid's fast structures, trained
        first, do not promise that the others are as fast. Where all are of one speed, or of none
        that is known, it cancels.

        Args:
            waiting: structure hash -> trials that no worker holds.
            speeds: structure hash -> lane-steps a second of one worker, as far as measured.
        """
        if not self.marks:
            return None
        mine = {*waiting, *(r.structure for r in running), *(s for _, w in self.marks for s in w)}
        known = {s: 1 / speeds[s] for s in mine if s in speeds}
        usual = fmean(known.values()) if known else 1.0
        cost = {s: known.get(s, usual) / usual for s in mine}
        work, marks = 0.0, []
        for active_s, more in self.marks:
            work += sum(budgets * cost[s] for s, budgets in more.items())
            marks.append(Mark(active_s, work))
        costs = [cost[r.structure] for r in running]
        behind = sum(n * cost[s] for s, n in waiting.items())
        rest = left(self.lengths, [r.age for r in running], behind, costs)
        return eta(marks, rest, sum(costs))

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "active_s": self.active_s,
            "lengths": list(self.lengths),
            "marks": [[active_s, dict(work)] for active_s, work in self.marks],
            "reached": self.reached,
        }


def recorded(record: Mapping[str, Any] | None, trials: int) -> Tempo:
    """A tempo as it was written down, or a new one."""
    if record is None:
        return Tempo(trials)
    return Tempo(
        trials=trials,
        active_s=record["active_s"],
        lengths=tuple(record["lengths"]),
        marks=tuple((active_s, work) for active_s, work in record["marks"]),
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
    began = {r.trial: r.step for r in answer.resumptions}  # what was trained before is not new
    held = ((trial, steps) for (trial, _), steps in zip(answer.held, answer.steps, strict=False))
    ended = ((outcome.trial, outcome.steps) for outcome in answer.outcomes)
    for trial, steps in (*held, *ended):
        if trial in peer.sweeps:
            more = max(0, steps - max(peer.steps.get(trial, 0), began.get(trial, 0)))
            found[peer.sweeps[trial]].work += more / budget
    for outcome in answer.outcomes:
        if outcome.trial in peer.sweeps:
            found[peer.sweeps[outcome.trial]].places.append(place_of(outcome.steps, budget))
    return found


def running(peers: Iterable[Peer]) -> Mapping[str, list[Running]]:
    """Sweep -> its trials that workers hold."""
    found: dict[str, list[Running]] = defaultdict(list)
    for peer in peers:
        if peer.pack is None:
            continue
        structure = structure_hash(peer.pack)
        for trial, sweep in peer.sweeps.items():
            age = peer.steps.get(trial, 0) / peer.pack.steps
            found[sweep].append(Running(structure, age))
    return found

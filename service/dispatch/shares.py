"""Shares: what each sweep has had of the workers, and who is owed most.

Fair queuing by virtual time. Sweeps that wait have portions of the workers: owners by the greatest
weight of their sweeps, and the sweeps of an owner by their own, so that nobody gets more by
submitting more sweeps. A worker's time is charged to the sweeps whose lanes it holds, divided by
their portions: served fairly all stand where the clock stands, and who stands furthest behind is
owed most. Who comes anew, or wanted no more than there was, begins at the clock: nothing is saved
up. Every portion is positive, so whoever waits is owed most in the end.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from service.dispatch.decide import Slot, Take, Waiting

#: a priority higher by so many is twice the weight
DOUBLING = 10
#: what is held now counts as if it had been held for so long already
HORIZON_S = 60.0
#: nobody is owed, or owes, more than all workers' time of so long: shares may be impossible, such
#: as where workers of two numerics classes have a sweep each
_MOST_OWED_S = 300.0
#: time between two turns beyond which a clock has jumped or nothing ran: it is charged no more
_LONGEST_S = 60.0


def weight(priority: int) -> float:
    """What a sweep's portion is multiplied by: 1 at priority 0, twice as much 10 higher."""
    return float(2.0 ** (priority / DOUBLING))


@dataclass(frozen=True)
class Claimant:
    """A sweep as the ledger knows it."""

    owner: str
    weight: float


@dataclass(frozen=True)
class Ledger:
    """What was charged so far; it may be forgotten, then all begin anew.

    Attributes:
        clock: the virtual time: worker seconds of all that wait.
        sweeps: sweep -> where it stands on the clock.
        owners: the same of owners, for the sweeps that they submit later.
        known: sweeps that wait, are held or have had too much.
        portions: those that want more than they have -> their portions; together 1.
        at: when it was charged last.
    """

    clock: float = 0.0
    sweeps: Mapping[str, float] = field(default_factory=dict)
    owners: Mapping[str, float] = field(default_factory=dict)
    known: Mapping[str, Claimant] = field(default_factory=dict)
    portions: Mapping[str, float] = field(default_factory=dict)
    at: datetime | None = None

    def owner(self, sweep: str) -> str:
        """Whose a sweep is."""
        return self.known[sweep].owner if sweep in self.known else ""

    def charged(self, slots: Sequence[Slot], now: datetime) -> "Ledger":
        """The same, after what the workers held since the last time was charged."""
        passed_s = 0.0 if self.at is None else (now - self.at).total_seconds()
        passed_s = min(_LONGEST_S, max(0.0, passed_s))
        had = {s: passed_s * n for s, n in occupied(slots).items() if s in self.portions}
        most = _MOST_OWED_S * max(1, len(slots))
        clock = self.clock + sum(had.values())
        theirs = self._by_owner(had)
        portions = self._by_owner(self.portions)
        sweeps = dict(self.sweeps) | _charge(self.sweeps, had, self.portions, clock, most)
        owners = dict(self.owners) | _charge(self.owners, theirs, portions, clock, most)
        return replace(self, clock=clock, sweeps=sweeps, owners=owners, at=now)

    def admitted(self, queues: Sequence[Waiting], slots: Iterable[Slot]) -> "Ledger":
        """The same with all that wait now.

        Debts are kept, also of who is away and of who ended, by its owner; what was not wanted is
        not owed.
        """
        held = {s for slot in slots for s in slot.holds}
        known = {**self.known, **{q.sweep: Claimant(q.owner, weight(q.priority)) for q in queues}}
        waiting = {q.sweep for q in queues}
        owners = {o: at for o, at in self.owners.items() if at > self.clock}
        for owner in {known[s].owner for s in waiting}:
            behind = owner in self._by_owner(self.portions)
            at = self.owners.get(owner, self.clock)
            owners[owner] = at if behind else max(at, self.clock)
        sweeps = {s: at for s, at in self.sweeps.items() if at > self.clock}
        for sweep in waiting:
            begin = max(self.clock, owners[known[sweep].owner])
            at = self.sweeps.get(sweep, begin)
            sweeps[sweep] = at if sweep in self.portions else max(at, self.clock)
        kept = {s: c for s, c in known.items() if s in sweeps or s in held}
        return replace(self, sweeps=sweeps, owners=owners, known=kept)

    def wanting(self, sweeps: Iterable[str]) -> "Ledger":
        """The same once it is known which sweeps want more than they have got."""
        return replace(self, portions=self.split(sweeps))

    def split(self, sweeps: Iterable[str]) -> dict[str, float]:
        """The portions of these sweeps if they were all."""
        mine: dict[str, dict[str, float]] = defaultdict(dict)
        for sweep in sweeps:
            mine[self.known[sweep].owner][sweep] = self.known[sweep].weight
        total = sum(max(weights.values()) for weights in mine.values())
        return {
            sweep: max(weights.values()) / total * own / sum(weights.values())
            for weights in mine.values()
            for sweep, own in weights.items()
        }

    def _by_owner(self, found: Mapping[str, float]) -> dict[str, float]:
        total: dict[str, float] = defaultdict(float)
        for sweep, n in found.items():
            total[self.owner(sweep)] += n
        return dict(total)


def _charge(
    stood: Mapping[str, float],
    had: Mapping[str, float],
    portions: Mapping[str, float],
    clock: float,
    most: float,
) -> dict[str, float]:
    """Where those with portions stand after what they had; `most` worker seconds off the clock."""
    found = {}
    for name, portion in portions.items():
        at = stood.get(name, clock) + had.get(name, 0.0) / portion
        found[name] = min(clock + most / portion, max(clock - most / portion, at))
    return found


def occupied(slots: Iterable[Slot]) -> dict[str, float]:
    """Sweep -> workers that it occupies now, one that several share by their parts of its lanes."""
    found: dict[str, float] = defaultdict(float)
    for slot in slots:
        for sweep, part in _parts(slot.holds).items():
            found[sweep] += part
    return dict(found)


def _parts(holds: Mapping[str, int]) -> dict[str, float]:
    total = sum(holds.values())
    return {sweep: n / total for sweep, n in holds.items() if n}


class Standing:
    """Who is owed most while one decision is made: takes that are chosen count at once.

    Args:
        ledger: with every queue admitted.
        most: trials that one owner may have at once; 0 for no limit.
    """

    def __init__(
        self, ledger: Ledger, slots: Sequence[Slot], queues: Sequence[Waiting], most: int = 0
    ) -> None:
        self._ledger = ledger
        self._most = most
        self._holds = {slot.name: dict(slot.holds) for slot in slots}
        self._portions = ledger.split({q.sweep for q in queues})
        self._has = defaultdict[str, float](float, occupied(slots))
        self._running: Counter[str] = Counter()
        for slot in slots:
            for sweep, n in slot.holds.items():
                self._running[ledger.owner(sweep)] += n

    def owed(self, sweep: str) -> float:
        """Where a sweep that waits will stand in a while with what it holds: less is owed more."""
        ahead = HORIZON_S * self._has[sweep] / self._portions[sweep]
        return self._ledger.sweeps[sweep] + ahead

    def room(self, sweep: str) -> int | None:
        """Trials that its owner may still have; None without a limit."""
        if not self._most:
            return None
        return max(0, self._most - self._running[self._ledger.owner(sweep)])

    def give(self, slot: str, sweep: str, trials: int) -> None:
        """Counts trials that a worker is to take."""
        self._move(slot, -1)
        self._holds[slot][sweep] = self._holds[slot].get(sweep, 0) + trials
        self._move(slot, 1)
        self._running[self._ledger.owner(sweep)] += trials

    def clear(self, slot: str) -> dict[str, int]:
        """As if a worker held nothing; returns what it does hold, for `put`."""
        self._move(slot, -1)
        held, self._holds[slot] = self._holds[slot], {}
        return held

    def put(self, slot: str, holds: Mapping[str, int]) -> None:
        """As if a cleared worker held this."""
        self._holds[slot] = dict(holds)
        self._move(slot, 1)

    def _move(self, slot: str, sign: int) -> None:
        for sweep, part in _parts(self._holds[slot]).items():
            self._has[sweep] += sign * part


def wanting(queues: Sequence[Waiting], chosen: Sequence[Take], standing: Standing) -> set[str]:
    """Sweeps that want more than they got, and whose owner might have it.

    Args:
        standing: after the takes that were chosen.
    """
    left: Counter[str] = Counter()
    for queue in queues:
        left[queue.sweep] += queue.claimable + queue.suspects
    for take in chosen:
        left[take.sweep] -= take.limit
    return {sweep for sweep, n in left.items() if n > 0 and standing.room(sweep) != 0}

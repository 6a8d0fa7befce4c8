"""A world of workers and sweeps on paper, in which the decisions are taken second by second."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from service.dispatch.decide import Slot, Waiting
from service.dispatch.filling import decide
from service.dispatch.quantum import over
from service.dispatch.shares import Ledger
from tests.service.samples import moment
from workers.messages import PackSpec

CLASSES = {"deep_mlp": "class-1"}


def pack(depth: int) -> PackSpec:
    """A structure of its own for each depth."""
    return PackSpec("deep_mlp", {"depth": depth}, 100, 1000, 5, "end")


@dataclass
class Sweep:
    """One that trains `trials` of `length` seconds each, and waits since `arrives`."""

    name: str
    depth: int
    trials: int
    length: int
    owner: str = ""
    priority: int = 0
    arrives: int = 0
    left: int = field(init=False)
    began: int | None = None
    ended: int = 0

    def __post_init__(self) -> None:
        self.left = self.trials

    @property
    def queue(self) -> Waiting:
        """As the decision sees it."""
        waits = Waiting(self.name, 0, pack(self.depth), self.left, None)
        return replace(waits, owner=self.owner, priority=self.priority)


@dataclass
class Machine:
    """A worker: its lanes are (sweep, the second at which it ends)."""

    name: str
    pack: PackSpec | None = None
    lanes: list[tuple[str, int]] = field(default_factory=list)
    since: int = 0
    most: int = 0
    ended: int = 0


class World:
    """Workers of so many lanes; every second each of them reports and is given more.

    Attributes:
        had: sweep -> worker seconds.
        changes: how often a worker took up another pack.
    """

    def __init__(self, workers: int, sweeps: list[Sweep], lanes: int = 8, most: int = 0) -> None:
        self.sweeps = {s.name: s for s in sweeps}
        self.machines = [Machine(f"w{i}") for i in range(workers)]
        self.lanes = lanes
        self.most = most
        self.ledger = Ledger()
        self.second = 0
        self.had: Counter[str] = Counter()
        self.changes = 0

    def run(self, seconds: int) -> Iterator[list[Waiting]]:
        """So many seconds, or until all is done; yields what waits after each decision."""
        for _ in range(seconds):
            if all(s.ended == s.trials for s in self.sweeps.values()):
                return
            self._end()
            yield self._decide()
            self.second += 1

    def _end(self) -> None:
        for machine in self.machines:
            for name, _ in machine.lanes:
                self.had[name] += 1 / len(machine.lanes)  # type: ignore[assignment]
            for name, until in machine.lanes:
                if until <= self.second:
                    self.sweeps[name].ended += 1
                    machine.ended += 1
            machine.lanes = [lane for lane in machine.lanes if lane[1] > self.second]

    def _decide(self) -> list[Waiting]:
        slots = [self._slot(m) for m in self.machines]
        now = moment(self.second)
        queues = self.waiting()
        ledger = self.ledger.charged(slots, now)
        found = decide(slots, queues, self.lanes, ledger, most=self.most)
        self.ledger = found.ledger
        for take in found.takes:
            sweep = self.sweeps[take.sweep]
            [machine] = [m for m in self.machines if m.name == take.worker]
            assert machine.pack in (None, take.pack) or not machine.lanes
            if take.pack != machine.pack:
                self.changes += 1
                machine.since, machine.most, machine.ended = self.second, 0, 0
            machine.pack = take.pack
            machine.lanes += [(take.sweep, self.second + sweep.length)] * take.limit
            machine.most = max(machine.most, len(machine.lanes))
            sweep.left -= take.limit
            sweep.began = self.second if sweep.began is None else sweep.began
            assert sweep.left >= 0
        return self.waiting()

    def waiting(self) -> list[Waiting]:
        """Queues that are there."""
        there = (s for s in self.sweeps.values() if s.left and s.arrives <= self.second)
        return [s.queue for s in there]

    def running(self) -> Counter[str]:
        """Owner -> trials that are held."""
        return Counter(self.sweeps[n].owner for m in self.machines for n, _ in m.lanes)

    def _slot(self, machine: Machine) -> Slot:
        holds = dict(Counter(name for name, _ in machine.lanes))
        due = over(self.second - machine.since, machine.ended, machine.most)
        slot = Slot(machine.name, True, len(machine.lanes), machine.pack, CLASSES)
        return replace(slot, holds=holds, due=due)

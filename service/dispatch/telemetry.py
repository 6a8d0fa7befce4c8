"""Telemetry: how far running trials are. It lives in memory only, and may be lost."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.dispatch.peers import Peer
from workers.messages import Return


@dataclass(frozen=True)
class Telemetry:
    """A sweep's trials that workers hold, as of their last answers.

    Attributes:
        running: trials held.
        steps: steps that they have done, together.
        budget: steps that they may do, together.
        trained: steps of trials that ended since this dispatcher began, and of those held.
    """

    running: int
    steps: int
    budget: int
    trained: int

    @property
    def share(self) -> float | None:
        """How far through their budget they are on average, 0 to 1; None while none runs."""
        return self.steps / self.budget if self.budget else None


def telemetry(peers: Iterable[Peer], sweep: str, ended_steps: int) -> Telemetry:
    """What the dispatcher knows of a sweep's running trials.

    Args:
        ended_steps: steps of its trials that ended.
    """
    running = steps = budget = 0
    for peer in peers:
        mine = [trial for trial, of in peer.sweeps.items() if of == sweep]
        if peer.pack is not None and mine:
            running += len(mine)
            steps += sum(peer.steps.get(trial, 0) for trial in mine)
            budget += len(mine) * peer.pack.steps
    return Telemetry(running, steps, budget, ended_steps + steps)


def telemetries(peers: Iterable[Peer]) -> dict[str, Telemetry]:
    """The same of every sweep that has trials running, in one pass; of steps those of its own."""
    found: dict[str, Telemetry] = {}
    for peer in peers:
        if peer.pack is None:
            continue
        for trial, sweep in peer.sweeps.items():
            before = found.get(sweep, Telemetry(0, 0, 0, 0))
            steps = before.steps + peer.steps.get(trial, 0)
            found[sweep] = Telemetry(
                before.running + 1, steps, before.budget + peer.pack.steps, steps
            )
    return found


def ended_steps(sweeps: Mapping[int, str], answer: Return) -> Counter[str]:
    """Sweep -> steps of its trials that ended in an answer.

    Args:
        sweeps: trial -> sweep of what the worker held before it.
    """
    found: Counter[str] = Counter()
    for outcome in answer.outcomes:
        if outcome.trial in sweeps:
            found[sweeps[outcome.trial]] += outcome.steps
    return found

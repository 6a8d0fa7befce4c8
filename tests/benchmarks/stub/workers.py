"""Stand-ins for the pool's workers: an order is answered at once, one outcome a trial."""

import hashlib
import json
import zlib

from service.dispatch.loop import Workers
from tests.benchmarks.stub.experiment import METRICS
from workers.messages import Assignment, MetricRecord, Order, Outcome, Return, WorkerDescription
from workers.pool import Reply

NUMERICS = {"code": "stub", "torch": "none", "device": "cpu"}
_STEPS = list(range(100, 1001, 100))
#: as long as a curve of ten evaluations
CURVE = zlib.compress(
    json.dumps({"steps": _STEPS, "metrics": {m.name: [0.5] * 10 for m in METRICS}}).encode()
)


class StubWorkers(Workers):
    """A pool whose workers need no time.

    Args:
        size: number of workers.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._spawned = 0
        self._replies: list[Reply] = []

    def spawn(self) -> str:
        """A worker, which describes itself at once."""
        self._spawned += 1
        name = f"stub-{self._spawned}"
        self._replies.append(Reply(name, value=WorkerDescription(NUMERICS, node=name)))
        return name

    def pending(self) -> frozenset[str]:
        """None: each is there at once."""
        return frozenset()

    def send(self, worker: str, order: Order) -> None:
        """Ends every trial of the order."""
        done = tuple(outcome(task, order.pack.steps) for task in order.add)
        self._replies.append(Reply(worker, value=Return(outcomes=done, dropped=order.cancel)))

    def wait(self, timeout_s: float) -> list[Reply]:
        """Everything that was answered."""
        found, self._replies = self._replies, []
        return found

    def discard(self, worker: str) -> None:
        """Nothing to end."""


def outcome(task: Assignment, steps: int) -> Outcome:
    """What a trial's key gives: the same for the same (setting, seed, values), as in training."""
    key = f"{task.root}/{task.setting}/{task.seed}/{task.values['noise']}".encode()
    digest = hashlib.sha256(key)
    score = int.from_bytes(digest.digest()[:4]) / 2**32
    return Outcome(
        trial=task.trial,
        attempt=task.attempt,
        end_state="finished",
        steps=steps,
        metrics={
            "score": MetricRecord(score, score, steps),
            "loss": MetricRecord(10 - 10 * score, 10 - 10 * score, steps),
        },
        curve=CURVE,
        fingerprint=digest.hexdigest(),
    )

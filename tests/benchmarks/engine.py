"""The engine as the bench drives it: `workers.pack.Pack` alone, without Ray, store or service."""

import time

import torch

from models import catalog
from tests.benchmarks.baselines.workload import Workload
from workers import numerics
from workers.messages import Assignment, PackSpec
from workers.pack import Ended, Pack

_ROOT = 0x5EED_BED0_0000_0000_0000_0000_0000_0BE7
#: no pack of the bench comes to its end
_NEVER = 10**6


class LanesLostError(Exception):
    """A lane diverged or raised, so fewer trained than were counted."""


class Engine:
    """R lanes of one workload in a pack.

    Args:
        work: what is trained.
        lanes: R.
        device: "cpu" or "cuda".
        segment: steps from boundary to boundary; the experiment's own unless given.
        evaluate_every: segments from evaluation to evaluation; none within reach unless given.
    """

    def __init__(
        self,
        work: Workload,
        lanes: int,
        device: str = "cpu",
        *,
        segment: int | None = None,
        evaluate_every: int = _NEVER,
    ) -> None:
        numerics.settle()
        experiment = catalog.experiment(work.experiment)
        settings = experiment.resolve({**work.shared, **work.values})
        self.lanes = lanes
        self.segment = segment or experiment.segment(settings)
        spec = PackSpec(
            work.experiment,
            experiment.shared_json(settings),
            segment=self.segment,
            steps=self.segment * _NEVER,
            evaluate_every=evaluate_every,
            expensive="end",
        )
        values = experiment.lane_values(settings)
        self.pack = Pack(spec, torch.device(device))
        self.pack.admit([Assignment(i, 1, _ROOT, 1, i, values) for i in range(lanes)])

    def train(self, steps: int) -> None:
        """Trains whole segments, at least `steps` steps.

        Raises:
            LanesLostError: a lane ended.
        """
        for _ in range(-(-steps // self.segment)):
            self._whole(self.pack.advance())

    def _whole(self, ended: Ended) -> None:
        if ended.outcomes or ended.failures or ended.lane_steps != self.segment * self.lanes:
            why = ended.failures[0].error if ended.failures else "diverged"
            raise LanesLostError(
                f"{len(ended.outcomes) + len(ended.failures)} of {self.lanes} lanes ended ({why}); "
                "a row counts lanes that train; choose a workload whose lanes all do"
            )


def evaluation_s(work: Workload, lanes: int, device: str = "cpu", tries: int = 3) -> float:
    """Seconds that one evaluation of a lane takes: a step's segment with one, less one without."""
    packs = [Engine(work, lanes, device, segment=1, evaluate_every=every) for every in (1, _NEVER)]
    best = [float("inf"), float("inf")]
    for _ in range(tries + 1):  # the least of several, so that what warms up does not count
        for i, pack in enumerate(packs):
            began = time.perf_counter()
            pack.train(1)
            best[i] = min(best[i], time.perf_counter() - began)
    return max(0.0, best[0] - best[1]) / lanes

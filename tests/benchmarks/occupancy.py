"""How full a pack stays on a sweep whose trials end at very different steps."""

import time
from typing import Any

import numpy as np

from models import catalog
from tests.benchmarks.baselines.workload import deep_mlp
from workers.messages import Assignment, Leave, Order, PackSpec
from workers.trainer import Trainer

_SEGMENT = 10
_STEPS = 400


def measure(lanes: int, trials: int) -> dict[str, Any]:
    """Useful lane-steps over lanes x segments x steps of a segment, with and without the tail.

    Narrow packs of the last lanes waste rows but little time, so there is also the pace: useful
    lane-steps a second of the whole sweep over those of the full pack.

    Shallow networks of many learning rates leave at 60 % of test digits right. A trainer holds all
    trials from the start and is called a segment at a time, so a call is one segment of the pack.
    """
    spec, assignments = _sweep(trials)
    trainer = Trainer()
    waiting = assignments
    ends: list[int] = []
    trained = 0
    capacity = {"full": 0, "all": 0}
    seconds = {"full": 0.0, "all": 0.0}
    left = trials
    while left:
        began = time.perf_counter()
        returned = trainer.advance(Order(spec, add=tuple(waiting), lanes=lanes, slice_s=0.0))
        waiting = []
        if returned.failures:
            raise RuntimeError(
                f"a trial of the occupancy sweep failed: {returned.failures[0].error}"
            )
        took = time.perf_counter() - began
        capacity["all"] += lanes * _SEGMENT
        seconds["all"] += took
        if len(returned.held) + len(returned.outcomes) >= lanes:
            capacity["full"] += lanes * _SEGMENT
            seconds["full"] += took
            trained += returned.lane_steps
        ends += [o.steps for o in returned.outcomes]
        left -= len(returned.outcomes)
    return {
        "occupancy": trained / capacity["full"],
        "with_tail": sum(ends) / capacity["all"],
        "pace": sum(ends) / seconds["all"] * seconds["full"] / trained,
        "lanes": lanes,
        "trials": trials,
        "steps": [int(np.percentile(ends, q)) for q in (10, 50, 90)],
    }


def _sweep(trials: int) -> tuple[PackSpec, list[Assignment]]:
    work = deep_mlp().but(depth=2, width=20, batch=8, init="he")
    experiment = catalog.experiment(work.experiment)
    settings = experiment.resolve({**work.shared, **work.values})
    spec = PackSpec(
        work.experiment, experiment.shared_json(settings), segment=_SEGMENT, steps=_STEPS,
        evaluate_every=1, expensive="end", leave=Leave("test_accuracy", "at_least", 0.6),
    )  # fmt: skip
    values = experiment.lane_values(settings)
    rates = np.random.default_rng(0).permutation(np.geomspace(0.005, 0.2, trials))
    return spec, [
        Assignment(i, 1, 1, 2, i, values | {"learning_rate": float(rate), "noise_eta": 0.0})
        for i, rate in enumerate(rates)
    ]

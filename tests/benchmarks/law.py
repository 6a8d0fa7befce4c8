"""No row without its law: the pack law on the very structure that a row measures."""

from typing import Any

from models import catalog
from tests.benchmarks.baselines.workload import Workload, workloads
from tests.laws import Case, check_pack_law
from workers.messages import PackSpec

#: per-lane overrides that make a lane diverge, at its first step and after some
_WILD = {
    "deep_mlp": ({"init_std": 100.0, "learning_rate": 1e30}, {"learning_rate": 1e30}),
    "neural_gpu": ({"init_weight": 1e30}, {"learning_rate": 1e30}),
}


def measure(workload: str, widths: list[int]) -> dict[str, Any]:
    """{"refused": why a row of this workload must not be printed, or None}."""
    return {"refused": refusal(workloads()[workload], widths)}


def refusal(work: Workload, widths: list[int]) -> str | None:
    """Why the engine's row must not be printed: its law fails, or cannot be tried."""
    try:
        check_pack_law(case(work), widths=widths)
    except Exception as error:  # noqa: BLE001 - whatever is raised, the law was not shown to hold
        words = str(error).strip().splitlines() or ["no word"]
        return f"its law fails: {type(error).__name__}: {words[0]}"
    return None


def case(work: Workload) -> Case:
    """The workload for a few steps, under the law."""
    experiment = catalog.experiment(work.experiment)
    settings = experiment.resolve({**work.shared, **work.values})
    spec = PackSpec(
        work.experiment, experiment.shared_json(settings), segment=2, steps=6, evaluate_every=1,
        expensive="end",
    )  # fmt: skip
    metric = next(m.name for m in experiment.metrics(settings) if m.better == "lower")
    values = experiment.lane_values(settings)
    return Case(work.name, spec, metric, values, _WILD[work.experiment])

"""The stub experiment, described like any other, and specs of it; test-only, never installed."""

from typing import Any

from models.catalog import experiments
from models.experiment import Experiment, Metric, Settings, per_lane, shared


class StubSettings(Settings):
    """One shared and two per-lane hyper-parameters, none of which does anything."""

    size: int = shared(8, doc="a structure", ge=1)
    rate: float = per_lane(0.1, doc="a setting", ge=0.0)
    noise: float = per_lane(0.0, doc="what the arms differ in", ge=0.0)


METRICS = (
    Metric("score", "higher", 0.0, 1.0, "cheap", "drawn from the trial's seed"),
    Metric("loss", "lower", 0.0, 10.0, "cheap", "ten minus ten times the score"),
)

STUB = Experiment(
    name="stub",
    description="ends at once with made-up outcomes",
    settings=StubSettings,
    metrics=lambda _: METRICS,
    segment=lambda _: 100,
    program="tests.benchmarks.stub.experiment:none",
    init_reads=frozenset(),
)


def install() -> None:
    """Puts the stub into this process's catalogue, as an installed package would."""
    experiments()[STUB.name] = STUB


def spec(trials: int, *, settings: int = 5, **changes: Any) -> dict[str, Any]:
    """A sweep of two arms x `settings` that has so many trials in all."""
    seeds, rest = divmod(trials, 2 * settings)
    if rest:
        raise ValueError(f"{trials} trials are not a whole number of seeds in {2 * settings} cells")
    return {
        "name": f"stub, {trials:,} trials",
        "experiment": "stub",
        "arms": {"plain": {"noise": 0.0}, "noisy": {"noise": 0.01}},
        "grid": {"rate": [(i + 1) / 10 for i in range(settings)]},
        "seeds": seeds,
        "root": "5eedbed0" * 4,
        "budget": {"steps": 1000},
        "success": {"metric": "score", "at_least": 0.9, "report_at": [0.5, 0.9]},
    } | changes

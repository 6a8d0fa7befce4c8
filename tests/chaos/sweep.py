"""The sweep that is shot at: many short trials of two structures, so that packs change too."""

from typing import Any

CELLS = 8
#: no trial ends before so many boundaries; long enough to be hit, short enough for thousands
STEPS = 400


def spec(trials: int, steps: int = STEPS) -> dict[str, Any]:
    """A sweep of so many trials, in some twelve cohorts.

    Raises:
        ValueError: trials are no multiple of the cells.
    """
    seeds, rest = divmod(trials, CELLS)
    if rest or seeds < 1:
        raise ValueError(
            f"{trials} trials cannot be dealt to {CELLS} cells of equal size; "
            f"a sweep has as many seeds in each; use a multiple of {CELLS}"
        )
    return {
        "name": "under fire",
        "experiment": "deep_mlp",
        "fixed": {"width": 16, "batch": 16, "learning_rate": 0.1, "clip": "norm"},
        "arms": {"plain": {"noise_eta": 0.0}, "noisy": {"noise_eta": 0.01}},
        "grid": {"init_std": [0.1, 0.3], "depth": [3, 4]},
        "seeds": seeds,
        "cohort": max(1, seeds // 12),
        "root": "c4a05c4a" * 4,
        "budget": {"steps": steps},
        "evaluate": {"every": 2, "expensive": "end"},
        "success": {"metric": "test_accuracy", "at_least": 0.6, "report_at": [0.3, 0.6]},
        "primary": {"arm": "noisy", "against": "plain", "threshold": 0.6},
    }

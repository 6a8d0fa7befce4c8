"""How much one run of the bench measures: the full run, and a smoke run that proves nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Sizes of every row.

    Attributes:
        widths: that the search for the best one tries.
        workloads: names of what is trained, None for all.
        search_steps: experiment -> lane-steps of a try in the search.
        seconds: that a repeat of a row should train, where segments allow it.
        checked: whether baselines are checked against the engine first.
        trial_steps: steps of a trial in whole sweeps.
        seedbed: trials of the smaller and the larger sweep through REST.
        tune: the same for Ray Tune.
        tune_reused: the same with reused actors.
        occupancy: lanes and trials.
        calibration_s: seconds of each calibration.
    """

    widths: tuple[int, ...]
    workloads: tuple[str, ...] | None
    search_steps: dict[str, int]
    seconds: float
    checked: bool
    trial_steps: int
    seedbed: tuple[int, int]
    tune: tuple[int, int]
    tune_reused: tuple[int, int]
    occupancy: tuple[int, int]
    calibration_s: float


FULL = Size(
    widths=(1, 2, 4, 8, 16, 32, 64, 128, 256),
    workloads=None,
    search_steps={"deep_mlp": 600, "neural_gpu": 160},
    seconds=3.0,
    checked=True,
    trial_steps=300,
    seedbed=(128, 512),
    tune=(2, 8),
    tune_reused=(4, 16),
    occupancy=(64, 640),
    calibration_s=2.0,
)

QUICK = Size(
    widths=(1, 16),
    workloads=("deep_mlp, noise", "neural_gpu, 8 maps"),
    search_steps={"deep_mlp": 64, "neural_gpu": 32},
    seconds=0.2,
    checked=False,
    trial_steps=100,
    seedbed=(4, 32),
    tune=(2, 8),
    tune_reused=(2, 8),
    occupancy=(8, 40),
    calibration_s=0.3,
)

"""Ray Tune as its documentation has it: one trial per seed, with or without reused actors."""

import contextlib
import io
import tempfile
import time
from typing import Any

import ray
from ray import tune

from tests.benchmarks.baselines.workload import Workload


def train(seed: int, work: Workload, steps: int) -> float:
    """A trial: the plain loop on one thread, and an evaluation."""
    import torch  # noqa: PLC0415 - in the trial's own process, as a user's function has it

    from tests.benchmarks.baselines.plain_loop import PlainLoop  # noqa: PLC0415 - the same

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    network = PlainLoop(work, seed=seed)
    network.train(steps)
    return float(network.evaluate()[0])


def function(config: dict[str, Any]) -> None:
    """The same trial as a function, in a process of its own."""
    tune.report({"test_loss": train(**config)})


class Reused(tune.Trainable):
    """The same trial as a class whose process is used again for the next seed."""

    def setup(self, config: dict[str, Any]) -> None:
        """Takes a configuration."""
        self.chosen = config

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next one, in the same process."""
        self.chosen = new_config
        return True

    def step(self) -> dict[str, Any]:
        """The whole trial is one step."""
        return {"test_loss": train(**self.chosen), "done": True}


def sweep(work: Workload, trials: int, *, steps: int, reuse: bool) -> float:
    """Seconds that so many trials take on a Ray that is already up.

    Raises:
        RuntimeError: a trial failed.
    """
    space = {"seed": tune.grid_search(list(range(trials))), "work": work, "steps": steps}
    trainable = tune.with_resources(Reused if reuse else function, {"cpu": 1})
    with tempfile.TemporaryDirectory(prefix="seedbed-tune-") as folder:
        tuner = tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(reuse_actors=reuse),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            results = tuner.fit()
        seconds = time.perf_counter() - began
    if results.errors or len(results) != trials:
        raise RuntimeError(
            f"{len(results.errors)} of {trials} Tune trials failed: {results.errors}"
        )
    return seconds


def start(cores: int) -> None:
    """A local Ray of so many cores, its dashboard off."""
    ray.init(address="local", num_cpus=cores, include_dashboard=False, log_to_driver=False)

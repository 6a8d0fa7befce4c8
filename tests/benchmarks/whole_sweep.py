"""Whole sweeps, submission to last outcome: Seedbed through REST, and Ray Tune."""

# ruff: noqa: PLC0415 - a probe imports only the system that it measures

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.baselines.workload import Workload, deep_mlp
from tests.benchmarks.summary import marginal

_PAUSE_S = 0.02


def seedbed(trials: list[int], steps: int) -> dict[str, Any]:
    """Two sweeps over HTTP on one embedded service with a fresh SQLite store.

    Start-up is the service, its workers, and a first sweep of one trial a core.
    """
    from service import local
    from service.client import Client

    os.environ.pop("SEEDBED_URL", None)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="seedbed-bench-") as folder:
        url, process = local.start(Path(folder))
        try:
            with Client(url) as client:
                local.await_ready(client, process, Path(folder) / local.LOG)
                _swept(client, os.cpu_count() or 1, steps)
                start_s = time.perf_counter() - began
                seconds = [_swept(client, count, steps) for count in trials]
        finally:
            local.stop(process)
    return _rates(trials, seconds, start_s)


def _swept(client: Any, trials: int, steps: int) -> float:
    """Seconds from submission until the sweep is finished.

    Raises:
        RuntimeError: it did not finish, or not with every outcome.
    """
    began = time.perf_counter()
    sweep = client.submit(spec(deep_mlp(), trials, steps))["id"]
    while (now := client.sweep(sweep))["state"] in ("waiting", "running"):
        time.sleep(_PAUSE_S)
    seconds = time.perf_counter() - began
    ended = [arm["settled"]["end_states"] for arm in client.progress(sweep)["arms"]]
    if now["state"] != "finished" or sum(e["finished"] for e in ended) != trials:
        raise RuntimeError(
            f"a sweep of {trials} trials is {now['state']} with {ended}; only trials that spend "
            "their budget are counted; look at the service's log"
        )
    return seconds


def spec(work: Workload, trials: int, steps: int) -> dict[str, Any]:
    """A sweep of one arm: the workload, so many seeds, one evaluation at the end."""
    from models import catalog

    experiment = catalog.experiment(work.experiment)
    segments = -(-steps // experiment.segment(experiment.resolve(work.shared)))
    return {
        "name": f"bench of {trials} trials",
        "experiment": work.experiment,
        "fixed": {**work.shared, **{k: v for k, v in work.values.items() if k != "noise_eta"}},
        "arms": {"noisy": {"noise_eta": work.values["noise_eta"]}},
        "seeds": trials,
        "cohort": trials,  # so that lanes never wait for a cohort to settle
        "budget": {"steps": steps},
        "evaluate": {"every": segments, "expensive": "end"},
        "success": {"metric": "test_accuracy", "at_least": 0.9, "at": "end"},
    }


def tune(trials: list[int], steps: int, *, reuse: bool) -> dict[str, Any]:
    """Two Tune experiments, one trial a seed, on one local Ray; start-up is Ray and a first one."""
    from tests.benchmarks.baselines import ray_tune

    cores = os.cpu_count() or 1
    began = time.perf_counter()
    ray_tune.start(cores)
    ray_tune.sweep(deep_mlp(), cores, steps=1, reuse=reuse)
    start_s = time.perf_counter() - began
    seconds = [ray_tune.sweep(deep_mlp(), n, steps=steps, reuse=reuse) for n in trials]
    return _rates(trials, seconds, start_s)


def _rates(trials: list[int], seconds: list[float], start_s: float) -> dict[str, Any]:
    found = marginal((trials[0], trials[1]), (seconds[0], seconds[1]))
    return {"rate": found, "trials": trials, "seconds": seconds, "start_s": start_s}

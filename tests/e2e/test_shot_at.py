"""Sweeps that are shot at end with the same outcomes and findings as undisturbed ones."""

import os
import random
import signal
from typing import Any

import pytest

from tests.e2e.conftest import Running, Serve, outcomes, until

pytestmark = [pytest.mark.service, pytest.mark.ray, pytest.mark.timeout(600)]

SPEC: dict[str, Any] = {
    "name": "shot at",
    "experiment": "deep_mlp",
    "fixed": {"depth": 3, "width": 16, "batch": 16, "learning_rate": 0.1, "clip": "norm"},
    "arms": {"plain": {"noise_eta": 0.0}, "noisy": {"noise_eta": 0.01}},
    "grid": {"init_std": [0.1, 0.3]},
    "seeds": 12,
    "cohort": 4,
    "root": "5eedbed0" * 4,
    "budget": {"steps": 800},
    "evaluate": {"every": 2, "expensive": "end"},
    "success": {"metric": "test_accuracy", "at_least": 0.6, "report_at": [0.3, 0.6]},
    "primary": {"arm": "noisy", "against": "plain", "threshold": 0.6},
}
TRIALS = 48


def finish(running: Running, sweep: str) -> dict[str, Any]:
    """Waits for the sweep's end and returns its report."""
    until(
        lambda: running.client.sweep(sweep)["state"] == "finished",
        240,
        lambda: str(running.client.progress(sweep)) + running.log.read_text()[-2000:],
    )
    report: dict[str, Any] = running.client.report(sweep, "json")
    return report


def ended(running: Running, sweep: str) -> int:
    """Trials that are terminal."""
    count: int = running.client.progress(sweep)["ended"]
    return count


def test_a_sweep_whose_workers_and_service_are_killed_ends_as_the_undisturbed_one(
    serve: Serve,
) -> None:
    """SIGKILL of worker actors at random moments, and of the whole service, moves no bit."""
    calm = serve(SEEDBED_PACK_LANES="8")
    first = calm.client.submit(SPEC)["id"]
    expected = finish(calm, first)
    wanted = outcomes(calm.client, first)
    assert len(wanted) == TRIALS

    dice = random.Random(5)
    sweep = calm.client.submit(SPEC)["id"]
    for target in (6, 14, 22):
        until(lambda target=target: ended(calm, sweep) >= target, 120)
        os.kill(dice.choice(workers(calm)), signal.SIGKILL)
    until(lambda: ended(calm, sweep) >= 28, 120)
    calm.kill()

    again = serve(SEEDBED_PACK_LANES="8")
    report = finish(again, sweep)
    assert outcomes(again.client, sweep) == wanted
    assert report["findings_hash"] == expected["findings_hash"]
    log = again.log.read_text() + calm.log.read_text()
    assert "worker_lost" in log
    assert again.stop() == 0


def workers(running: Running) -> list[int]:
    """Process ids of the worker actors that the service's log names, those that still live."""
    found = []
    for line in running.log.read_text().splitlines():
        if "worker_ready" in line:
            pid = int(line.split("node=")[1].split()[0].rpartition(":")[2].strip("'\""))
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                continue
            found.append(pid)
    assert found, "no live worker in the log"
    return found

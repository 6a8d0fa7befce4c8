"""Sweeps that are shot at end with the same outcomes and findings as undisturbed ones."""

import hashlib
import io
import os
import random
import signal
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine, select

from service.store.tables import cells, trials
from service.store.tables import outcomes as curves
from tests.e2e.conftest import Running, Serve, outcomes, services, until

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
    "budget": {"steps": 4000},  # so long that no shot comes too late
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


@dataclass(frozen=True)
class Record:
    """All of a sweep that must not depend on its fate.

    Attributes:
        trials: (arm, cell, seed) -> state, steps, fingerprint and metrics, over the API.
        curves: (cell, seed) -> the evaluation curve, as it lies in the store.
        findings: their hash.
        bundle: its hash, as the bundle itself has it.
    """

    trials: dict[tuple[str, int, int], tuple[Any, ...]]
    curves: dict[tuple[int, int], bytes]
    findings: str
    bundle: str


def record(running: Running, sweep: str, state: Path) -> Record:
    """Waits for the end, and reads everything; there is exactly one outcome a trial."""
    findings = finish(running, sweep)["findings_hash"]
    database = create_engine(f"sqlite:///{state / 'seedbed.db'}")
    query = (
        select(cells.c.index, trials.c.seed, curves.c.curve)
        .join(trials, trials.c.id == curves.c.trial)
        .join(cells, cells.c.id == trials.c.cell)
        .where(trials.c.sweep == sweep)
    )
    with database.connect() as connection:
        rows = connection.execute(query).all()
    database.dispose()
    assert len(rows) == TRIALS
    found = {(cell, seed): curve for cell, seed, curve in rows}
    assert len(found) == TRIALS
    return Record(outcomes(running.client, sweep), found, findings, exported(running, sweep))


def exported(running: Running, sweep: str) -> str:
    """The hash of the sweep's bundle, taken of its sums and said by the service alike."""
    file = io.BytesIO()
    said = running.client.export(sweep, file)
    with zipfile.ZipFile(file) as bundle:
        assert hashlib.sha256(bundle.read("SHA256SUMS")).hexdigest() == said
        assert len(pq.read_table(io.BytesIO(bundle.read("outcomes.parquet")))) == TRIALS
    return said


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The sweep when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with services(folder) as serve:
        running = serve(SEEDBED_PACK_LANES="8")
        found = record(running, running.client.submit(SPEC)["id"], folder / "state")
        assert running.stop() == 0
    assert len(found.trials) == TRIALS
    return found


@pytest.fixture
def dice() -> random.Random:
    """Other moments at every run; they are printed if the test fails, and SHOT_AT repeats them."""
    seed = int(os.environ.get("SHOT_AT", random.SystemRandom().randrange(10**6)))
    print(f"moments of SHOT_AT={seed}")  # noqa: T201 - shown with a failure
    return random.Random(seed)


def rest(dice: random.Random, longest_s: float) -> None:
    """A random while."""
    chosen = dice.uniform(0.05, longest_s)
    print(f"shot after {chosen:.3f} s")  # noqa: T201 - shown with a failure
    time.sleep(chosen)


def test_a_sweep_whose_workers_are_killed_at_random_moments_ends_as_the_undisturbed_one(
    serve: Serve, tmp_path: Path, undisturbed: Record, dice: random.Random
) -> None:
    """Three SIGKILLs of worker actors move no bit of weights, metrics, curves and findings."""
    running = serve(SEEDBED_PACK_LANES="8")
    sweep = running.client.submit(SPEC)["id"]
    log, shot = running.log.read_text, set[int]()
    for count in range(1, 4):
        rest(dice, 1.5)
        until(lambda: bool(workers(running) - shot), 120)
        target = dice.choice(sorted(workers(running) - shot))
        os.kill(target, signal.SIGKILL)
        shot.add(target)  # until it is buried its pid is still there
        until(lambda count=count: log().count("worker_lost") >= count, 120)
    assert running.client.sweep(sweep)["state"] == "running", "the shots came too late"
    assert record(running, sweep, tmp_path / "state") == undisturbed
    assert running.stop() == 0


def test_a_sweep_whose_service_is_killed_at_a_random_moment_ends_as_the_undisturbed_one(
    serve: Serve, tmp_path: Path, undisturbed: Record, dice: random.Random
) -> None:
    """SIGKILL of the service and all that it started; the next one goes on, to the same bits."""
    first = serve(SEEDBED_PACK_LANES="8")
    sweep = first.client.submit(SPEC)["id"]
    until(lambda: first.client.progress(sweep)["running"] > 0, 120)
    rest(dice, 1.5)
    assert first.client.sweep(sweep)["state"] == "running", "the shot came too late"
    first.kill()
    again = serve(SEEDBED_PACK_LANES="8")
    assert record(again, sweep, tmp_path / "state") == undisturbed
    assert again.stop() == 0


def workers(running: Running) -> set[int]:
    """Process ids of the worker actors that the service's log names, those that still live."""
    found = set()
    for line in running.log.read_text().splitlines():
        if "worker_ready" in line:
            pid = int(line.split("node=")[1].split()[0].rpartition(":")[2].strip("'\""))
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                continue
            found.add(pid)
    return found

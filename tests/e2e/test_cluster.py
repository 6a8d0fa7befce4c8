"""API, two dispatchers and a Ray cluster as processes: whoever dies, the other goes on."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, create_engine, func, select, text

from service.client import Client
from service.local import free_port
from service.store.engine import open_engine, upgrade
from service.store.lease import LEASE
from service.store.tables import leases
from tests.cluster import Cluster, ray_cluster
from tests.e2e.conftest import READY_S, outcomes, until
from tests.e2e.test_shot_at import SPEC as SHOT_AT
from tests.stalls import Stalls

pytestmark = [pytest.mark.alone, pytest.mark.service, pytest.mark.ray, pytest.mark.timeout(600)]

SPEC: dict[str, Any] = {**SHOT_AT, "name": "taken over", "seeds": 6, "cohort": 3}
TRIALS = 24
_numbers = itertools.count()
#: from the kill of the active dispatcher to what the standby took over, on a machine that runs them
TAKEN_S = 10.0
#: from the end of one that was told to stop to the next one's lease
HANDED_OVER_S = 5.0


@dataclass
class Site:
    """Processes of one service on a PostgreSQL and a Ray cluster."""

    folder: Path
    engine: Engine
    cluster: Cluster
    environment: dict[str, str]
    client: Client | None = None
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, *command: str) -> tuple["subprocess.Popen[bytes]", Path]:
        """A process of the service's, and its log."""
        number = len(self.processes)
        log = self.folder / f"{command[0]}-{number}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "service.cli.app", *command],
                env=self.environment | {"SEEDBED_STATE_FOLDER": str(self.folder / str(number))},
                cwd=self.folder,  # Ray hands the driver's folder on to its workers
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process, log

    def dispatcher(self) -> tuple["subprocess.Popen[bytes]", Path]:
        """One more, once it is a driver of the cluster."""
        process, log = self.start("dispatcher")
        until(lambda: " is ready" in log.read_text(), READY_S, log.read_text)
        return process, log

    def holder(self) -> int | None:
        """The process id in the lease that holds now."""
        query = select(leases.c.holder).where(
            leases.c.name == LEASE, leases.c.expires_at > func.clock_timestamp()
        )
        with self.engine.connect() as connection:
            found = connection.scalar(query)
        return None if found is None else int(found.split(":")[1])


@pytest.fixture
def site(postgres: str, tmp_path: Path) -> Iterator[Site]:
    """A service on a cluster of two nodes with a CPU each."""
    with ray_cluster(2) as cluster, sited(postgres, tmp_path, cluster) as site:
        yield site


@contextlib.contextmanager
def sited(postgres: str, folder: Path, cluster: Cluster) -> Iterator[Site]:
    """A store of its own, and whatever is started on it, which is killed at the end."""
    name = f"cluster_{os.getpid()}_{next(_numbers)}"
    admin = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    url = postgres.replace("/postgres?", f"/{name}?")
    engine = open_engine(url)
    upgrade(engine)
    foreign = ("RAY_", "SEEDBED_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    environment |= cluster.service | {
        "SEEDBED_DATABASE_URL": url,
        "SEEDBED_STORAGE_URL": str(folder / "storage"),
        "SEEDBED_SLICE_S": "0.2",
        "SEEDBED_PACK_LANES": "8",
        "SEEDBED_WORKERS": "2",
    }
    site = Site(folder, engine, cluster, environment)
    try:
        yield site
    finally:
        for process in site.processes:
            if process.poll() is None:
                process.kill()
                process.wait(30)
        engine.dispose()


def ready_pids(log: Path) -> list[int]:
    """Process ids of the workers that a dispatcher's log names."""
    return [
        int(line.split("node=")[1].split()[0].rpartition(":")[2].strip("'\""))
        for line in log.read_text().splitlines()
        if "worker_ready" in line
    ]


def test_dispatchers_nodes_and_the_head_may_die(site: Site) -> None:
    """One cluster for all of it, since it takes seconds.

    A sweep is shot at: its active dispatcher, then a node; it ends as the undisturbed one, bit for
    bit. A dispatcher that is told to stop hands over at once. When the head dies the dispatcher
    says so and ends, for its supervisor to start again.
    """
    port = free_port()
    site.start("api", "--port", str(port))
    both = [site.dispatcher(), site.dispatcher()]
    client = Client(f"http://127.0.0.1:{port}")

    def finish(sweep: str) -> dict[str, Any]:
        until(
            lambda: client.sweep(sweep)["state"] == "finished",
            180,
            lambda: f"{client.progress(sweep)} {logs()}",
        )
        found = outcomes(client, sweep)
        assert len(found) == TRIALS
        return {"outcomes": found, "hash": client.report(sweep, "json")["findings_hash"]}

    def logs() -> str:
        return "\n".join(log.read_text()[-3000:] for _, log in both)

    until(client.ready, READY_S, logs)
    undisturbed = finish(client.submit(SPEC)["id"])

    sweep = client.submit(SPEC)["id"]
    until(lambda: client.progress(sweep)["running"] > 0, 60, logs)
    until(lambda: site.holder() is not None, 60, logs)
    # a machine that stood still for longer than a lease may have changed their parts
    (first, log), (second, standby_log) = sorted(both, key=lambda one: one[0].pid != site.holder())
    pids = ready_pids(log)
    with Stalls() as stalls:
        os.kill(first.pid, signal.SIGKILL)
        shot = time.monotonic()
        until(lambda: site.holder() == second.pid, 60, standby_log.read_text)
        until(lambda: "trials_taken_over" in standby_log.read_text(), 60, standby_log.read_text)
        took_s = time.monotonic() - shot
    assert took_s - stalls.seconds < TAKEN_S, f"{took_s} s, of which {stalls.seconds} stood still"
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 60)  # they end with their driver
    until(lambda: len(ready_pids(standby_log)) > 0, 60, standby_log.read_text)
    site.cluster.nodes[0].kill()
    site.cluster.add()
    assert finish(sweep) == undisturbed

    third, third_log = site.dispatcher()
    both.append((third, third_log))
    third_sweep = client.submit(SPEC)["id"]
    until(lambda: client.progress(third_sweep)["running"] > 0, 60, standby_log.read_text)
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0
    with Stalls() as stalls:
        stopped = time.monotonic()
        assert site.holder() != second.pid, "the lease was not given up"
        until(lambda: site.holder() == third.pid, 60, third_log.read_text)
        took_s = time.monotonic() - stopped
    assert took_s - stalls.seconds < HANDED_OVER_S
    assert "draining" in standby_log.read_text()
    assert finish(third_sweep) == undisturbed

    site.cluster.head.kill()
    assert third.wait(90) == 1
    assert "has not answered" in third_log.read_text() or "own node ended" in third_log.read_text()
    assert "start it again once the cluster is up" in third_log.read_text()
    until(lambda: not client.ready(), 30)
    client.close()


def test_unfit_machines_and_wrong_tokens_are_said_clearly(site: Site) -> None:
    """Once, and not retried hotly; a driver that the cluster does not take says why."""
    for part in site.cluster.nodes:
        part.kill()
    bad = site.folder / "bad" / "workers"
    bad.mkdir(parents=True)
    (bad / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
    site.cluster.add(PYTHONPATH=str(bad.parent))
    site.environment["SEEDBED_LEAST_WORKERS"] = "1"
    _, log = site.dispatcher()
    until(lambda: "worker_unfit" in log.read_text(), 90, log.read_text)
    assert "No module named 'torch'" in log.read_text()
    assert "worker_lost" not in log.read_text()
    site.environment["RAY_AUTH_TOKEN"] = "0" * 64
    process, wrong = site.start("dispatcher")
    assert process.wait(120) == 1
    assert "the same token (RAY_AUTH_TOKEN)" in wrong.read_text()
    assert log.read_text().count("worker_unfit") == 1

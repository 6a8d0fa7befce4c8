"""A real Seedbed as processes of its own, all in one or split, with sweeps to ask about."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from service.client import Client, ServiceUnreachableError
from service.local import free_port
from tests.benchmarks.databases import postgres
from tests.load.clients import Known
from tests.service.samples import spec

READY_S = 180.0
MODES = ("serve", "split")


@contextlib.contextmanager
def served(mode: str, folder: Path) -> Iterator[str]:
    """The URL of a service that has a worker: `seedbed serve` on SQLite, or API and dispatcher.

    Args:
        mode: serve, or split: `seedbed api` and `seedbed dispatcher` on PostgreSQL.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"SEEDBED_STATE_FOLDER": str(folder / "state"), "SEEDBED_WORKERS": "1"}
    with contextlib.ExitStack() as ending:
        if mode == "serve":
            ending.enter_context(_process(["serve", "--port", str(port)], environment, folder))
        else:
            environment["SEEDBED_DATABASE_URL"] = ending.enter_context(postgres())
            _command(["db", "upgrade"], environment)
            for command in (["dispatcher"], ["api", "--port", str(port)]):
                ending.enter_context(_process(command, environment, folder))
        _await(url, folder)
        yield url


def known(url: str) -> Known:
    """Sweeps of which one is finished and one goes on for as long as anyone asks."""
    with Client(url) as client:
        done = client.submit(spec(seeds=4, cohort=2))["id"]
        ends = time.monotonic() + READY_S
        while client.progress(done)["state"] != "finished":
            if time.monotonic() > ends:
                raise TimeoutError(f"a sweep of 16 trials was not trained in {READY_S:.0f} s")
            time.sleep(0.2)
        long = client.submit(spec(seeds=100_000, cohort=50, budget={"steps": 2000}))["id"]
    return Known([done, long])


@contextlib.contextmanager
def _process(arguments: list[str], environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    with (
        (folder / f"{arguments[0]}.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "service.cli.app", *arguments],
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _command(arguments: list[str], environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "service.cli.app", *arguments]
    subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)


def _await(url: str, folder: Path) -> None:
    ends = time.monotonic() + READY_S
    with Client(url) as client:
        while time.monotonic() < ends:
            with contextlib.suppress(ServiceUnreachableError):
                if client.ready():
                    return
            time.sleep(0.2)
    logs = "\n".join(log.read_text(errors="replace")[-1500:] for log in folder.glob("*.log"))
    raise TimeoutError(f"the service was not ready in {READY_S:.0f} s:\n{logs}")

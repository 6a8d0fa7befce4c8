"""A whole Seedbed as a process of its own, on a free port and a state folder of the test's."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.client import Client, ServiceUnreachableError
from service.local import free_port

READY_S = 120.0


@dataclass
class Running:
    """A served Seedbed: its process, its URL and a client."""

    process: "subprocess.Popen[bytes]"
    url: str
    client: Client
    log: Path

    def kill(self) -> None:
        """SIGKILL to the service and to all that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def stop(self) -> int:
        """Ctrl-C; returns the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


Serve = Callable[..., Running]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts services on one state folder; whatever still runs is ended after the test."""
    with services(tmp_path) as start:
        yield start


@contextlib.contextmanager
def services(folder: Path) -> Iterator[Serve]:
    """Starts services on the state folder within `folder`; ends whatever still runs."""
    started: list[Running] = []

    def start(**environment: str) -> Running:
        port = free_port()
        log = folder / f"serve-{len(started)}.log"
        variables = os.environ | {
            "SEEDBED_STATE_FOLDER": str(folder / "state"),
            "SEEDBED_SLICE_S": "0.2",
            **environment,
        }
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "service.cli.app", "serve", "--port", str(port)],
                env=variables,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        url = f"http://127.0.0.1:{port}"
        running = Running(process, url, Client(url), log)
        started.append(running)
        until(lambda: ready(running), READY_S, lambda: log.read_text(errors="replace")[-3000:])
        return running

    yield start
    for running in started:
        running.client.close()
        if running.process.poll() is None:
            running.kill()


def ready(running: Running) -> bool:
    """Whether the service has workers."""
    assert running.process.poll() is None, running.log.read_text(errors="replace")[-3000:]
    try:
        return running.client.ready()
    except ServiceUnreachableError:
        return False


def until(
    true: Callable[[], bool], limit_s: float, explain: Callable[[], str] = lambda: ""
) -> None:
    """Polls another process until something holds; fails with an explanation after the limit."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"not so after {limit_s} s: {explain()}"
        time.sleep(0.05)


def outcomes(client: Client, sweep: str) -> dict[tuple[str, int, int], tuple[Any, ...]]:
    """(arm, cell, seed) -> everything of a trial's outcome that must not depend on its fate."""
    found: dict[tuple[str, int, int], tuple[Any, ...]] = {}
    for trial in client.trials(sweep):
        place = (trial["arm"], trial["cell"], trial["seed"])
        assert place not in found, f"{place} recorded twice"
        found[place] = (
            trial["state"],
            trial["steps"],
            trial["fingerprint"],
            repr(sorted(trial["metrics"].items())),
        )
    return found

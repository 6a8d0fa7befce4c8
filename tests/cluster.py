"""A Ray cluster of processes on this machine: a head and nodes, each as good as a host of its own.

Each part is a `ray start --block` in a process group of its own, on an address of its own within
127.0.0.0/8, with a token. How they die:

- `part.kill()`: SIGKILL to `ray start` and to all that it started (Ray's processes have asked the
  kernel to die with their parent, and the rest of the group is killed too): a machine that lost its
  power. Its actors are gone at once; the head notices after some seconds.
- `part.freeze()` / `part.thaw()`: SIGSTOP / SIGCONT to the group and its workers: a machine that is
  cut off and comes back.
- `part.stop()`: SIGTERM, a clean end of the node.
- a worker actor: `os.kill(pid)` of the pid in the service's `worker_ready` line.

Nothing is ever done by name (`ray stop`): other clusters of the machine are not ours. What is left
at the end of `ray_cluster` is killed.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
START_S = 120.0
#: the head finds a node that is cut off within about ten seconds
NODES = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "5",
}


@dataclass
class Part:
    """A head or a node."""

    process: "subprocess.Popen[bytes]"
    ip: str
    log: Path

    def everybody(self) -> list[psutil.Process]:
        """Its processes: `ray start`, what that started, and their workers."""
        try:
            mine = psutil.Process(self.process.pid)
            return [mine, *mine.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """As if its power were cut."""
        self._all(signal.SIGKILL)
        self.process.wait(30)

    def freeze(self) -> None:
        """As if its network were cut; `thaw` mends it."""
        self._all(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._all(signal.SIGCONT)

    def stop(self) -> None:
        """A clean end."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def _all(self, number: int) -> None:
        for each in self.everybody():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


@dataclass
class Cluster:
    """A head and its nodes.

    Attributes:
        address: what SEEDBED_RAY_ADDRESS says.
        token: what RAY_AUTH_TOKEN says.
    """

    folder: Path
    address: str
    token: str
    environment: dict[str, str]
    parts: list[Part] = field(default_factory=list)
    nodes: list[Part] = field(default_factory=list)

    @property
    def head(self) -> Part:
        """The head that was started last."""
        return next(p for p in reversed(self.parts) if p not in self.nodes)

    @property
    def service(self) -> dict[str, str]:
        """Variables that make a dispatcher a driver of this cluster."""
        own = {k: v for k, v in NODES.items() if k.startswith("RAY_")}
        return {**own, "SEEDBED_RAY_ADDRESS": self.address, "RAY_AUTH_TOKEN": self.token}

    def start_head(self, *words: str, **environment: str) -> Part:
        """Starts the head, which has no CPUs; again at the same address after it was killed."""
        ip, port = self.address.split(":")
        own = ["--head", f"--port={port}", "--include-dashboard=false"]
        part = self._start(ip, [*own, *words], cpus=0, **environment)
        wait_for_port(ip, int(port), part)
        return part

    def add(self, cpus: int = 1, **environment: str) -> Part:
        """Starts a node; it need not have joined when this returns."""
        ip = f"127.0.0.{len(self.parts) + 2}"
        part = self._start(ip, [f"--address={self.address}"], cpus=cpus, **environment)
        self.nodes.append(part)
        return part

    def _start(self, ip: str, words: list[str], *, cpus: int, **environment: str) -> Part:
        number = len(self.parts)
        log = self.folder / f"ray-{number}.log"
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
            "--disable-usage-stats", *words,
            f"--node-ip-address={ip}", f"--num-cpus={cpus}", "--num-gpus=0",
            f"--temp-dir={self.folder / str(number)}", f"--object-store-memory={80 * 2**20}",
            "--include-log-monitor=false",
        ]  # fmt: skip
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command,
                env=self.environment | environment,
                cwd=self.folder,  # not the checkout: what workers import is installed there
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        part = Part(process, ip, log)
        self.parts.append(part)
        return part


@contextlib.contextmanager
def ray_cluster(
    nodes: int = 0, cpus: int = 1, *, autoscaling: Callable[[str], dict[str, Any]] | None = None
) -> Iterator[Cluster]:
    """A head, and so many nodes with so many CPUs each; all of it is gone at the end.

    Args:
        autoscaling: the head's address -> a configuration of Ray's autoscaler, with the provider of
            nodes that are processes of this machine.
    """
    with tempfile.TemporaryDirectory(prefix="sb-", ignore_cleanup_errors=True) as folder:
        token = secrets.token_hex(32)
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "SEEDBED_"))
        }
        environment |= {**NODES, "RAY_AUTH_TOKEN": token, "PYTHONPATH": str(ROOT)}
        cluster = Cluster(Path(folder), f"127.0.0.2:{free_port()}", token, environment)
        try:
            if autoscaling is None:
                cluster.start_head()
            else:
                file = cluster.folder / "autoscaling.json"
                file.write_text(json.dumps(autoscaling(cluster.address)))
                fake = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
                cluster.start_head(f"--autoscaling-config={file}", **fake)
            for _ in range(nodes):
                cluster.add(cpus)
            yield cluster
        finally:
            for part in cluster.parts:
                part.kill()


def free_port() -> int:
    """A port that nothing on the head's address listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(ip: str, port: int, part: Part) -> None:
    """Until the head answers."""
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection((ip, port), 1.0):
            return
        assert part.process.poll() is None, part.log.read_text()[-3000:]
        assert time.monotonic() < deadline, part.log.read_text()[-3000:]
        time.sleep(0.1)

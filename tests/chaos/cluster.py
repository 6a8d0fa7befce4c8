"""A Ray head without CPUs and nodes that are killed, cut off and replaced, each a host of its own.

Within a network of our own (`tests.chaos.network`) a node has its own namespace and cable; without
one it has an address of its own on loopback, and cannot be cut off.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from service.local import free_port
from tests.chaos import network
from tests.chaos.parts import MARK, Part

ROOT = Path(__file__).parents[2]
LOOPBACK_HUB = "127.0.0.2"
#: the head finds a node that is cut off within about ten seconds
SWIFT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "5",
}


class Node(Part):
    """A Ray node with one CPU; each start is a new host with a new address."""

    def __init__(
        self, number: int, address: str, environment: Mapping[str, str], folder: Path
    ) -> None:
        super().__init__(f"node-{number}", [], environment, folder)
        self._number, self._address, self._starts = number, address, 0
        self.cable = ""

    def start(self, stdin: int = subprocess.DEVNULL) -> None:
        """Starts it on a host of its own; where it can be cut off, with a cable."""
        self._starts += 1
        host = 10 * (self._number + 1) + self._starts
        words = [f"--address={self._address}", "--num-cpus=1"]
        temporary = self.log.parent / f"n{self._number}-{self._starts}"
        if not network.inside():
            ip = f"127.0.{self._number + 1}.{self._starts}"
            self._words = start_words(ip, temporary, words)
            super().start(stdin)
            return
        ip = f"10.77.{self._number + 1}.{host}"
        self.cable = f"n{self._number}c{self._starts}"
        waiting = ["unshare", "--net", "sh", "-c", 'read _; exec "$@"', "sh"]
        self._words = [*waiting, *start_words(ip, temporary, words)]
        super().start(stdin=subprocess.PIPE)
        assert self.process is not None
        assert self.process.stdin is not None
        network.plug(self.cable, self.pid, ip)
        with self.process.stdin as gate:
            gate.write(b"go\n")


def start_words(ip: str, temporary: Path, words: list[str]) -> list[str]:
    """`ray start` in the foreground."""
    return [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats",
        *words, f"--node-ip-address={ip}", "--num-gpus=0", f"--temp-dir={temporary}",
        f"--object-store-memory={80 * 2**20}", "--include-log-monitor=false",
    ]  # fmt: skip


def head(folder: Path, token: str) -> tuple[Part, str]:
    """A head without CPUs, and its address."""
    ip = network.HUB if network.inside() else LOOPBACK_HUB
    address = f"{ip}:{free_port()}"
    port = address.partition(":")[2]
    words = ["--head", f"--port={port}", "--include-dashboard=false", "--num-cpus=0"]
    part = Part("head", start_words(ip, folder / "h", words), environment(token), folder)
    return part, address


def environment(token: str) -> dict[str, str]:
    """What the processes of the cluster have."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "SEEDBED_", MARK))}
    return {**mine, **SWIFT, "RAY_AUTH_TOKEN": token, "PYTHONPATH": str(ROOT)}


def new_token() -> str:
    """What all parts of one cluster must know."""
    return secrets.token_hex(32)

"""A Ray cluster that others run: this process joins it as a driver, by a node of its own.

The node has no CPUs, so nothing trains on it. It ends with this process, whatever ends that.
"""

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: a head that does not answer for so long is taken for dead: nodes would join it again only anew
HEAD_S = 20.0
#: how long a start waits for the head, and for the node to be up
AWAY_S, START_S = 10.0, 90.0
_LOOK_S = 2.0
_MEMORY = 80 * 2**20


class ClusterAwayError(Exception):
    """The cluster cannot be joined."""


class ClusterRay:
    """Membership of a cluster, from `start` to `stop`.

    Args:
        address: host:port of its head's GCS.
        words: more words for `ray start` of the own node, such as its ports.
        namespace: those of one store see each other's workers, see `Pool.clear_others`.
    """

    def __init__(
        self, address: str, words: Sequence[str] = (), namespace: str | None = None
    ) -> None:
        self._address = address
        self._words = list(words)
        self._namespace = namespace
        self._ray: Any = None
        self._node: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._answered = 0.0
        self._ended = threading.Event()

    def start(self) -> Any:
        """The `ray` module, once this process is a driver of the cluster.

        Raises:
            ClusterAwayError: no head answers there, or it will not have this node: another token,
                another Ray or Python.
        """
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", None)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        self._reach()
        self._folder = Path(tempfile.mkdtemp(prefix="seedbed-"))  # 0700, short enough for sockets
        self._start_node(self._folder)
        import ray  # noqa: PLC0415 - reads the environment at import

        try:
            ray.init(
                address=self._address,
                namespace=self._namespace,
                _temp_dir=str(self._folder),  # tells the own node from others of this machine
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError) as error:
            raise ClusterAwayError(
                f"the Ray cluster at {self._address} does not take this process as a driver: "
                f"{error.__cause__ or error}; see docs/cluster.md for what all of its machines "
                "must agree in"
            ) from error
        self._ray = ray
        self._answered = time.monotonic()
        threading.Thread(target=self._watch, name="ray-head", daemon=True).start()
        return ray

    def _reach(self) -> None:
        host, _, port = self._address.rpartition(":")
        deadline = time.monotonic() + AWAY_S
        while True:
            try:
                with socket.create_connection((host.strip("[]"), int(port)), 2.0):
                    return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ClusterAwayError(
                        f"no Ray head answers at {self._address} ({error}); a dispatcher with "
                        "SEEDBED_RAY_ADDRESS trains on that cluster; start its head (`ray start "
                        "--head --port=PORT`), or mend the address"
                    ) from error
            time.sleep(0.2)

    def _start_node(self, folder: Path) -> None:
        log = folder / "node.log"
        command = [
            sys.executable, "-m", "workers.node", str(os.getpid()),
            "--block", f"--address={self._address}", "--num-cpus=0", "--num-gpus=0",
            f"--temp-dir={folder}", f"--object-store-memory={_MEMORY}",
            "--include-log-monitor=false", "--disable-usage-stats", *self._words,
        ]  # fmt: skip
        with log.open("wb") as sink:
            self._node = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this process, which then ends the node
            )
        deadline = time.monotonic() + START_S
        while not any(folder.glob("session_*/sockets/raylet*")):
            if self._node.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-1500:].strip()
                raise ClusterAwayError(
                    f"no Ray node of this machine could join the cluster at {self._address}; all "
                    "machines must have the same token (RAY_AUTH_TOKEN), Ray and Python, see "
                    f"docs/cluster.md; what Ray says:\n{tail}"
                )
            time.sleep(0.1)

    def _watch(self) -> None:
        """Asks the head something again and again; a question that hangs is no answer."""
        while not self._ended.wait(_LOOK_S):
            with contextlib.suppress(Exception):
                self._ray.nodes()
                self._answered = time.monotonic()

    def fault(self) -> str | None:
        """Why this process is no part of the cluster any more, or None."""
        if self._node is not None and self._node.poll() is not None:
            return f"its own node ended with status {self._node.returncode}"
        silent_s = time.monotonic() - self._answered
        if silent_s > HEAD_S:
            return f"the head at {self._address} has not answered for {silent_s:.0f} s"
        return None

    def stop(self) -> None:
        """Leaves the cluster, which goes on; the own node ends."""
        self._ended.set()
        lost = self._ray is None or self.fault() is not None
        if self._node is not None and self._node.poll() is None and lost:
            self._node.kill()  # a driver that takes its leave would wait for a head that is gone
        if self._ray is not None:
            self._ray.shutdown()
        if self._node is not None and self._node.poll() is None:
            self._node.terminate()
            try:
                self._node.wait(20)
            except subprocess.TimeoutExpired:
                self._node.kill()
                self._node.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

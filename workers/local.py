"""A Ray of this process's own, on loopback: reachable only with a token drawn at its start."""

import logging
import os
import secrets
import shutil
import tempfile
from functools import cache
from typing import Any


class LocalRay:
    """Starts with the process that it belongs to and ends with it; its dashboard is off.

    Args:
        cpus: one for each worker.
    """

    def __init__(self, cpus: int) -> None:
        self._cpus = cpus
        self._ray: Any = None
        self._folder: str | None = None

    def start(self) -> Any:
        """The `ray` module, once it is up; takes some seconds."""
        settle_environment()
        import ray  # noqa: PLC0415 - reads the environment at import

        self._ray = ray
        self._folder = tempfile.mkdtemp(prefix="seedbed-")  # 0700, and short enough for sockets
        ray.init(
            address="local",
            num_cpus=self._cpus,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=self._folder,
            object_store_memory=100 * 2**20,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        return ray

    def fault(self) -> str | None:
        """None: it lives as long as this process."""
        return None

    def stop(self) -> None:
        """Ends this Ray, no other."""
        if self._ray is not None:
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


@cache
def token() -> str:
    """This process's token, drawn once: Ray reads it once and keeps it for a second start too."""
    return secrets.token_hex(32)


def settle_environment() -> None:
    """Sets what Ray reads at its import, so before the first import of it in a process.

    A token is asked of everybody. And Ray takes 127.0.0.1 for this machine's outward address, and
    then listens on all of them, unless it is told that it forms no cluster, whatever the system.
    """
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = token()
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

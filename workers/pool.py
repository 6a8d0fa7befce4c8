"""The pool of Ray actors: starts them, calls them one at a time, and says which were lost."""

import contextlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from workers.actor import Worker
from workers.messages import Order, Return, WorkerDescription


@dataclass(frozen=True)
class Reply:
    """What a call to a worker came to.

    Attributes:
        worker: its name in the pool.
        value: the answer, or None when there is none.
        lost: why the worker or its answer is gone, or None. Whether it still lives is not known:
            discard it.
        error: the exception that the call raised in a worker that lives, or None.
    """

    worker: str
    value: Return | WorkerDescription | None = None
    lost: str | None = None
    error: str | None = None


class Pool:
    """A local Ray on loopback with one actor a device slot.

    Ray is reachable only with a token that is drawn at start; its dashboard is off.

    Args:
        size: number of workers.
        device: where each trains.
        environment: variables for the workers, beside their own.
    """

    def __init__(
        self, size: int, device: str = "cpu", environment: Mapping[str, str] | None = None
    ) -> None:
        self.size = size
        self._device = device
        self._environment = dict(environment or {})
        self._actors: dict[str, Any] = {}
        self._calls: dict[Any, str] = {}
        self._spawned = 0
        self._ray: Any = None
        self._folder: str | None = None

    def start(self) -> None:
        """Starts Ray; takes some seconds."""
        settle_environment()
        import ray  # noqa: PLC0415 - reads the environment at import

        self._ray = ray
        self._folder = tempfile.mkdtemp(prefix="seedbed-")  # 0700, and short enough for sockets
        ray.init(
            address="local",
            num_cpus=self.size,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=self._folder,
            object_store_memory=100 * 2**20,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )

    def spawn(self) -> str:
        """Starts a worker and asks it to describe itself; the answer comes from `wait`."""
        self._spawned += 1
        name = f"worker-{self._spawned}"
        gpus = 1.0 if self._device.startswith("cuda") else 0.0
        hosted = actor_class(self._ray, self._environment, gpus)
        self._actors[name] = hosted.remote(self._device, self.size)
        self._calls[self._actors[name].describe.remote()] = name
        return name

    def send(self, worker: str, order: Order) -> None:
        """Starts a call; there is never more than one in flight to a worker."""
        self._calls[self._actors[worker].advance.remote(order)] = worker

    def wait(self, timeout_s: float) -> list[Reply]:
        """Answers that have come, waiting for the first at most `timeout_s`."""
        if not self._calls:
            return []
        ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=timeout_s)
        if ready and len(self._calls) > 1:
            ready, _ = self._ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        return [self._reply(ref) for ref in ready]

    def _reply(self, ref: Any) -> Reply:
        worker = self._calls.pop(ref)
        try:
            return Reply(worker, value=self._ray.get(ref))
        except self._ray.exceptions.RayTaskError as error:
            return Reply(worker, error=str(error))
        except self._ray.exceptions.RayError as gone:  # died, out of memory, its answer lost ...
            return Reply(worker, lost=f"{type(gone).__name__}: {gone}")

    def discard(self, worker: str) -> None:
        """Ends a worker; a call in flight to it is forgotten."""
        actor = self._actors.pop(worker, None)
        self._calls = {ref: name for ref, name in self._calls.items() if name != worker}
        if actor is not None:
            with contextlib.suppress(self._ray.exceptions.RayError):  # it may be gone already
                self._ray.kill(actor)

    def stop(self) -> None:
        """Ends the workers and this process's own Ray, no other."""
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


def actor_class(ray: Any, environment: Mapping[str, str], gpus: float) -> Any:
    """`workers.actor.Worker` as a Ray actor class."""
    options: dict[str, Any] = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0}
    if environment:
        options["runtime_env"] = {"env_vars": dict(environment)}
    return ray.remote(**options)(Worker)

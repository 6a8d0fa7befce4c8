"""The pool of Ray actors: starts them, calls them one at a time, and says which were lost."""

import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from workers.actor import Worker, place
from workers.local import LocalRay
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


class ClusterLostError(Exception):
    """This process is no part of its Ray cluster any more; its workers are lost to it."""


class RayHost(Protocol):
    """A Ray to which this process belongs: `workers.local.LocalRay` or `workers.cluster`'s."""

    def start(self) -> Any:
        """The `ray` module, once it is up."""
        ...

    def fault(self) -> str | None:
        """Why this process does not belong to it any more."""
        ...

    def stop(self) -> None:
        """Ends what `start` started, and nothing else."""
        ...


@dataclass(frozen=True)
class Call:
    """A call in flight; one that places an actor is answered once a machine has room for it."""

    worker: str
    placing: bool = False


class Pool:
    """One actor a device slot, on a Ray of this process's own or on a cluster.

    Args:
        size: the most workers.
        device: where each trains.
        environment: variables for the workers, beside their own.
        host: the Ray; one on loopback with a CPU for each worker unless it is given.
        per_gpu: workers that share a GPU.
    """

    def __init__(
        self,
        size: int,
        device: str = "cpu",
        environment: Mapping[str, str] | None = None,
        host: RayHost | None = None,
        per_gpu: int = 1,
    ) -> None:
        self.size = size
        self._per_gpu = per_gpu
        self._device = device
        self._environment = dict(environment or {})
        self._host = host or LocalRay(size)
        self._actors: dict[str, Any] = {}
        self._calls: dict[Any, Call] = {}
        self._spawned = 0
        self._ray: Any = None
        self._name = secrets.token_hex(8)

    def start(self) -> None:
        """Starts or joins Ray; takes some seconds."""
        self._ray = self._host.start()

    def spawn(self) -> str:
        """Asks for a worker, which describes itself once it has a place; that comes from `wait`."""
        self._spawned += 1
        name = f"worker-{self._spawned}"
        part = part_of(self._per_gpu) if self._device.startswith("cuda") else None
        hosted = actor_class(self._ray, self._environment, part)
        actor = hosted.options(name=f"{self._name}:{name}").remote(self._device)
        call = actor.__ray_call__.remote(place)
        self._actors[name] = actor
        self._calls[call] = Call(name, placing=True)
        return name

    def clear_others(self) -> int:
        """Ends workers of other pools on the same store, and says how many; only the active may.

        A dispatcher that hangs or is frozen keeps its node alive, and so its workers their places:
        whoever takes over would wait for them as long as it sleeps.
        """
        found = [n for n in self._ray.util.list_named_actors() if n.partition(":")[0] != self._name]
        ended = 0
        for name in found:
            with contextlib.suppress(ValueError, self._ray.exceptions.RayError):  # gone meanwhile
                self._ray.kill(self._ray.get_actor(name))
                ended += 1
        return ended

    def pending(self) -> frozenset[str]:
        """Workers for which there is no place yet, or whose process only starts.

        Raises:
            ClusterLostError: this process is no part of the cluster any more.
        """
        fault = self._host.fault()
        if fault is not None:
            raise ClusterLostError(
                f"{fault}; a dispatcher is a driver of one cluster as long as it lives; start it "
                "again once the cluster is up (a supervisor does): its trials were handed back"
            )
        return frozenset(call.worker for call in self._calls.values() if call.placing)

    def send(self, worker: str, order: Order) -> None:
        """Starts a call; there is never more than one in flight to a worker."""
        self._calls[self._actors[worker].advance.remote(order)] = Call(worker)

    def wait(self, timeout_s: float) -> list[Reply]:
        """Answers that have come, waiting for the first at most `timeout_s`."""
        if not self._calls:
            return []
        ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=timeout_s)
        if ready and len(self._calls) > 1:
            ready, _ = self._ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        return [reply for ref in ready if (reply := self._reply(ref)) is not None]

    def _reply(self, ref: Any) -> Reply | None:
        """What came of a call; None where a worker only has its place and is asked who it is."""
        call = self._calls.pop(ref)
        try:
            value = self._ray.get(ref)
            if not call.placing:
                return Reply(call.worker, value=value)
        except self._ray.exceptions.RayTaskError as error:
            return Reply(call.worker, error=str(error))
        except self._ray.exceptions.RayError as gone:  # died, out of memory, its answer lost ...
            return Reply(call.worker, lost=f"{type(gone).__name__}: {gone}")
        try:
            self._introduce(call.worker, value)
        except Exception as error:  # noqa: BLE001 - answers that came with this one must not be lost
            return Reply(call.worker, lost=f"it could not be asked who it is: {error}")
        return None

    def _introduce(self, worker: str, node: str) -> None:
        """Asks a worker that has its place who it is, and tells it how many share its memory.

        Raises:
            Exception: whatever Ray raises while its head does not answer.
        """
        found = {n["NodeID"]: n["Resources"] for n in self._ray.nodes()}
        gpu = self._device.startswith("cuda")
        workers = self._per_gpu if gpu else sharing(found.get(node, {}), self.size)
        self._calls[self._actors[worker].describe.remote(workers)] = Call(worker)

    def discard(self, worker: str) -> None:
        """Ends a worker; a call in flight to it is forgotten."""
        actor = self._actors.pop(worker, None)
        self._calls = {ref: call for ref, call in self._calls.items() if call.worker != worker}
        if actor is not None:
            with contextlib.suppress(self._ray.exceptions.RayError):  # it may be gone already
                self._ray.kill(actor)

    def stop(self) -> None:
        """Ends the workers and what this process has of Ray, no other."""
        self._host.stop()


def sharing(resources: Mapping[str, float], size: int) -> int:
    """How many of a pool's workers a machine has room for, one a CPU.

    Args:
        resources: of the machine, as Ray counts them.
        size: workers of the pool.
    """
    return max(1, min(size, int(resources.get("CPU", 1.0))))


def part_of(per_gpu: int) -> float:
    """The part of a GPU that each of so many workers asks for, in Ray's units of 1/10,000.

    Rounded down: all of them must fit.
    """
    return (10_000 // per_gpu) / 10_000


def actor_class(ray: Any, environment: Mapping[str, str], part: float | None) -> Any:
    """`workers.actor.Worker` as a Ray actor class; where it runs `workers` is installed.

    Args:
        part: of a GPU, and of a CPU with it, so that a machine needs no more CPUs than GPUs;
            None for a CPU and no GPU.
    """
    cpus, gpus = (1.0, 0.0) if part is None else (part, part)
    options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": 0}
    if environment:
        options["runtime_env"] = {"env_vars": dict(environment)}
    return ray.remote(**options)(Worker)

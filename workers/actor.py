"""The Ray actor around a trainer; it imports torch only where it runs, never in the controller."""

from typing import TYPE_CHECKING

from workers.messages import Order, Return, WorkerDescription

if TYPE_CHECKING:
    from workers.trainer import Trainer


class Worker:
    """A plain class that Ray hosts: one a device slot, long-lived, one call in flight.

    Args:
        device: "cpu" or "cuda:0".
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._hosted: Trainer | None = None

    def describe(self, workers: int = 1) -> WorkerDescription:
        """Gets ready to train, and says what it is.

        Args:
            workers: that share the machine, or its GPU.
        """
        from workers.trainer import Trainer, lower_priority  # noqa: PLC0415 - torch stays here

        lower_priority()
        self._hosted = Trainer(self._device, workers)
        return self._hosted.describe()

    def advance(self, order: Order) -> Return:
        """See `Trainer.advance`; after `describe`."""
        assert self._hosted is not None  # noqa: S101 - the pool asks who it is first
        return self._hosted.advance(order)


def place(_worker: object) -> str:
    """Where it runs, as Ray names the node; called in the worker's process."""
    import ray  # noqa: PLC0415 - it is there, whoever calls

    found: str = ray.get_runtime_context().get_node_id()
    return found

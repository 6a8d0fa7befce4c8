"""The Ray actor around a trainer; it imports torch only where it runs, never in the controller."""

from workers.messages import Order, Return, WorkerDescription


class Worker:
    """A plain class that Ray hosts: one a device slot, long-lived, one call in flight.

    Args:
        device: "cpu" or "cuda:0".
        workers: that share the machine.
    """

    def __init__(self, device: str, workers: int = 1) -> None:
        from workers.trainer import Trainer, lower_priority  # noqa: PLC0415 - torch stays here

        lower_priority()
        self._trainer: Trainer = Trainer(device, workers)

    def describe(self) -> WorkerDescription:
        """See `Trainer.describe`."""
        return self._trainer.describe()

    def advance(self, order: Order) -> Return:
        """See `Trainer.advance`."""
        return self._trainer.advance(order)

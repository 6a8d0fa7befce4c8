"""The trainer: takes orders, keeps one pack full from a small buffer, and returns what ended."""

import os
import time
from collections import deque

import torch

from models.catalog import experiments
from workers import memory, numerics
from workers.isolation import failed
from workers.messages import Assignment, Failure, Order, Outcome, Return, WorkerDescription
from workers.pack import Pack


class WrongPackError(Exception):
    """An order is for another pack than the lanes that still train."""


class Trainer:
    """One device slot. It holds trials only in memory; the store is the truth.

    Args:
        device: "cpu" or "cuda:0".
        workers: that share the machine.
    """

    def __init__(self, device: str = "cpu", workers: int = 1) -> None:
        numerics.settle()
        self._device = torch.device(device)
        self._workers = workers
        self._pack: Pack | None = None
        self._buffer: deque[Assignment] = deque()

    def describe(self) -> WorkerDescription:
        """The numerics class of this worker, and the data that it lacks."""
        numerics.settle()
        lacking = {k: v for e in experiments().values() for k, v in e.lacking().items()}
        return WorkerDescription(numerics.numerics(self._device), numerics.node(), lacking)

    def advance(self, order: Order) -> Return:
        """Admits and drops trials, then trains until something ended or the slice is over.

        Raises:
            WrongPackError: the order is for another pack while lanes of this one still train.
        """
        numerics.settle()  # torch keeps the flush mode by thread
        began = time.monotonic()
        try:
            pack = self._switch(order)
        except (WrongPackError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - a program that cannot be built fails its trials
            return Return(failures=tuple(failed(a, error) for a in order.add))
        self._buffer.extend(order.add)
        dropped = self._drop(pack, set(order.cancel))
        outcomes: list[Outcome] = []
        failures: list[Failure] = []
        lane_steps = 0
        while True:
            failures += self._fill(pack, order.lanes)
            if not pack.lanes:
                break
            ended = pack.advance()
            outcomes += ended.outcomes
            failures += ended.failures
            lane_steps += ended.lane_steps
            starved = len(pack.lanes) < order.lanes and not self._buffer
            news = bool(outcomes or failures)
            if (news and starved) or time.monotonic() - began >= order.slice_s:
                break
        return Return(
            outcomes=tuple(outcomes),
            failures=tuple(failures),
            dropped=tuple(dropped),
            held=tuple((a.trial, a.attempt) for a in self._held(pack)),
            steps=tuple([lane.step for lane in pack.lanes] + [0] * len(self._buffer)),
            lane_steps=lane_steps,
            seconds=time.monotonic() - began,
            widths=pack.news(),
        )

    def _switch(self, order: Order) -> Pack:
        if self._pack is not None and self._pack.spec == order.pack:
            return self._pack
        if self._pack is not None and self._held(self._pack):
            raise WrongPackError(
                f"the order is for a pack of {order.pack.experiment}, but "
                f"{len(self._held(self._pack))} trials of another pack are still held here; "
                "a worker changes its pack only when it is empty"
            )
        self._pack = None  # before the next one asks how much memory is free
        self._pack = Pack(
            order.pack,
            self._device,
            measured=True,
            lanes=order.lanes,
            widths=order.widths,
            free=memory.budget(self._device, self._workers),
        )
        return self._pack

    def _fill(self, pack: Pack, lanes: int) -> list[Failure]:
        most = lanes if pack.capacity is None else min(lanes, pack.capacity)
        free = min(most - len(pack.lanes), len(self._buffer))
        if free <= 0:
            return []
        return pack.admit([self._buffer.popleft() for _ in range(free)])

    def _drop(self, pack: Pack, unwanted: set[tuple[int, int]]) -> list[tuple[int, int]]:
        waiting = [(a.trial, a.attempt) for a in self._buffer]
        dropped = [name for name in waiting if name in unwanted]
        self._buffer = deque(
            a for a, name in zip(self._buffer, waiting, strict=True) if name not in unwanted
        )
        return dropped + pack.drop(unwanted)

    def _held(self, pack: Pack) -> list[Assignment]:
        return [lane.assignment for lane in pack.lanes] + list(self._buffer)


def lower_priority() -> None:
    """Gives way to the API and the store on a shared machine."""
    os.nice(10)

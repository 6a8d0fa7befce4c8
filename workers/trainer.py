"""The trainer: takes orders, keeps one pack full from a small buffer, and returns what ended."""

import os
import socket
import time
from collections import deque
from dataclasses import replace

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
        self._packs = 0
        self._rows: dict[tuple[int, int], int] = {}
        self._buffer: deque[Assignment] = deque()

    def describe(self) -> WorkerDescription:
        """The numerics class of this worker, and the data that it lacks."""
        numerics.settle()
        lacking = {k: v for e in experiments().values() for k, v in e.lacking().items()}
        here = numerics.numerics(self._device)
        return WorkerDescription(here, numerics.node(), lacking, device_name(self._device))

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
        placed = tuple(self._placed(outcome) for outcome in outcomes)
        held = [(lane.assignment.trial, lane.assignment.attempt) for lane in pack.lanes]
        self._rows = {name: self._rows[name] for name in held}
        return Return(
            outcomes=placed,
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
        self._packs += 1
        self._rows.clear()
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
        first = len(pack.lanes)
        failures = pack.admit([self._buffer.popleft() for _ in range(free)])
        for row, lane in enumerate(pack.lanes[first:], first):
            self._rows[lane.assignment.trial, lane.assignment.attempt] = row
        return failures

    def _placed(self, outcome: Outcome) -> Outcome:
        """With where it ran, which the engine need not know: nothing that it computes does."""
        row = self._rows.pop((outcome.trial, outcome.attempt), None)
        return replace(outcome, pack=self._packs, lane=row)

    def _drop(self, pack: Pack, unwanted: set[tuple[int, int]]) -> list[tuple[int, int]]:
        waiting = [(a.trial, a.attempt) for a in self._buffer]
        dropped = [name for name in waiting if name in unwanted]
        self._buffer = deque(
            a for a, name in zip(self._buffer, waiting, strict=True) if name not in unwanted
        )
        return dropped + pack.drop(unwanted)

    def _held(self, pack: Pack) -> list[Assignment]:
        return [lane.assignment for lane in pack.lanes] + list(self._buffer)


def device_name(device: torch.device) -> str:
    """Host and device: a GPU by its own number, which its name in this process is not."""
    host = socket.gethostname()
    if device.type == "cpu":
        return f"{host} cpu"
    found = torch.cuda.get_device_properties(device)
    return f"{host} {found.name} {found.uuid}"


def lower_priority() -> None:
    """Gives way to the API and the store on a shared machine."""
    os.nice(10)

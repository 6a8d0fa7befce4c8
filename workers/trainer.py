"""The trainer: takes orders, keeps one pack full from a small buffer, and returns what ended."""

import os
import socket
import time
from collections import deque
from dataclasses import replace

import torch

from models import catalog
from models.catalog import experiments
from workers import memory, numerics
from workers.checkpoints import Checkpoints
from workers.isolation import failed
from workers.messages import (
    Assignment,
    Failure,
    Order,
    Outcome,
    Resumption,
    Return,
    StorageRule,
    WorkerDescription,
    class_id,
    numerics_of,
)
from workers.pack import Pack
from workers.storage import Storage, StorageError
from workers.weights import Keeper
from workers.writer import Writer


class WrongPackError(Exception):
    """An order is for another pack than the lanes that still train."""


class Trainer:
    """One device slot. It holds trials only in memory; the store is the truth.

    Args:
        device: "cpu" or "cuda:0".
        workers: that share the machine, or its GPU.
    """

    def __init__(self, device: str = "cpu", workers: int = 1) -> None:
        numerics.settle()
        self._device = torch.device(device)
        self._workers = workers
        self._pack: Pack | None = None
        self._packs = 0
        self._rows: dict[tuple[int, int], int] = {}
        self._buffer: deque[Assignment] = deque()
        self._numerics: dict[str, str] | None = None
        self._rule: StorageRule | None = None
        self._storage: Storage | None = None
        self._writer: Writer | None = None
        self._lost: tuple[str, ...] = ()
        self._checkpoints: Checkpoints | None = None
        self._keeper = Keeper(None)

    def describe(self) -> WorkerDescription:
        """The numerics class of this worker, and the data that it lacks."""
        numerics.settle()
        lacking = {k: v for e in experiments().values() for k, v in e.lacking().items()}
        return WorkerDescription(self._here, numerics.node(), lacking, device_name(self._device))

    @property
    def _here(self) -> dict[str, str]:
        """The numerics of this process, read once: later files are not what it trains with."""
        if self._numerics is None:
            self._numerics = numerics.numerics(self._device)
        return self._numerics

    def advance(self, order: Order) -> Return:
        """Admits and drops trials, then trains until something ended or the slice is over.

        Raises:
            WrongPackError: the order is for another pack while lanes of this one still train.
        """
        numerics.settle()  # torch keeps the flush mode by thread
        began = time.monotonic()
        try:
            before = self._pack
            pack = self._switch(order)
            self._store(order, fresh=pack is not before)
        except (WrongPackError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - a program that cannot be built fails its trials
            return Return(failures=tuple(failed(a, error) for a in order.add))
        self._buffer.extend(order.add)
        dropped = self._drop(pack, set(order.cancel))
        if order.park:
            return self._park(pack, order.park_s, dropped)
        outcomes: list[Outcome] = []
        failures: list[Failure] = []
        resumptions: list[Resumption] = []
        lane_steps = 0
        while True:
            failures += self._fill(pack, order.lanes, resumptions)
            if not pack.lanes:
                break
            ended = pack.advance()
            self._keeper.boundary(pack, ended)
            if self._checkpoints is not None:
                self._checkpoints.boundary(pack)
            outcomes += ended.outcomes
            failures += ended.failures
            lane_steps += ended.lane_steps
            starved = len(pack.lanes) < order.lanes and not self._buffer
            news = bool(outcomes or failures)
            if (news and starved) or time.monotonic() - began >= order.slice_s:
                break
        outcomes, unkept = self._keeper.settle(outcomes)
        failures += unkept
        placed = tuple(self._placed(outcome) for outcome in outcomes)
        held = [(lane.assignment.trial, lane.assignment.attempt) for lane in pack.lanes]
        self._rows = {name: self._rows[name] for name in held}
        over = self._over([(o.trial, o.attempt) for o in outcomes], held)
        return Return(
            outcomes=placed,
            failures=tuple(failures),
            dropped=tuple(dropped),
            held=tuple((a.trial, a.attempt) for a in self._held(pack)),
            steps=tuple([lane.step for lane in pack.lanes] + [0] * len(self._buffer)),
            lane_steps=lane_steps,
            seconds=time.monotonic() - began,
            widths=pack.news(),
            resumptions=tuple(resumptions),
            checkpointed=over,
            storage=self._trouble(),
        )

    def _store(self, order: Order, *, fresh: bool) -> None:
        """Sees that files go where the order says; storage that cannot be opened is reported."""
        if order.storage != self._rule:
            self._rule, self._storage, self._writer, self._lost = order.storage, None, None, ()
            self._keeper = Keeper(None)
            if self._rule is not None:
                try:
                    self._storage = Storage(self._rule.url)
                    self._writer = Writer(self._storage)
                    self._keeper = Keeper(self._storage)
                except StorageError as error:
                    self._lost = (str(error),)
        elif not fresh:
            return
        self._checkpoints = None
        if self._rule is not None and self._storage is not None and self._writer is not None:
            tile = catalog.experiment(order.pack.experiment).tile
            name = class_id(numerics_of(self._here, tile))
            every_s = self._rule.checkpoint_s
            self._checkpoints = Checkpoints(
                self._storage, self._writer, every_s, numerics.node(), name
            )

    def _park(self, pack: Pack, limit_s: float, dropped: list[tuple[int, int]]) -> Return:
        """Leaves the worker empty; where its lanes stood is in storage, if that can be written."""
        if self._checkpoints is not None:
            self._checkpoints.park(pack, limit_s)
        every = {(a.trial, a.attempt) for a in self._held(pack)}
        gone = self._drop(pack, every)
        self._over([], [])
        return Return(dropped=(*dropped, *gone), storage=self._trouble())

    def _over(self, ended: list[tuple[int, int]], held: list[tuple[int, int]]) -> tuple[int, ...]:
        """Of trials that ended, those that may have a checkpoint; only those held are kept."""
        if self._checkpoints is None:
            return ()
        found = self._checkpoints.ended(ended)
        self._checkpoints.keep(set(held))
        return found

    def _trouble(self) -> tuple[str, ...]:
        """What went wrong in storage since the last answer."""
        return self._lost + (() if self._writer is None else self._writer.troubles())

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

    def _fill(self, pack: Pack, lanes: int, resumptions: list[Resumption]) -> list[Failure]:
        """Gives waiting trials free lanes: from their checkpoints, or from their start."""
        most = lanes if pack.capacity is None else min(lanes, pack.capacity)
        free = min(most - len(pack.lanes), len(self._buffer))
        if free <= 0:
            return []
        first = len(pack.lanes)
        tasks = [self._buffer.popleft() for _ in range(free)]
        if self._checkpoints is not None:
            begun = self._checkpoints.resume(pack, tasks)
            resumptions += begun
            back = {(r.trial, r.attempt) for r in begun if r.step}
            tasks = [a for a in tasks if (a.trial, a.attempt) not in back]
        failures = pack.admit(tasks) if tasks else []
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

"""The Neural GPU's recurrence; on the CPU compiled, with a backward pass of its own.

There backward keeps four numbers a unit and step: the state, both gates and the candidate.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.neural_gpu import compiled
from models.neural_gpu.cgru import Cell, matrices, step


@dataclass(frozen=True)
class Room:
    """What one pass writes into; see `compiled.forward`. Zeros where no example has a position."""

    states: np.ndarray
    opened: np.ndarray
    candidates: np.ndarray
    reset: np.ndarray


class Rooms:
    """Rooms that are not in use, so that a step need not ask for fresh pages."""

    def __init__(self) -> None:
        self._free: dict[tuple[int, ...], list[Room]] = {}

    def take(self, lanes: int, times: int, units: int, row: int) -> Room:
        """A room for so many states beside the first; last come, first gone."""
        shape = (lanes, times, units, row)
        free = self._free.get(shape)
        if free:
            return free.pop()
        self._free = {k: v for k, v in self._free.items() if k[0] == lanes}
        return Room(
            np.zeros((lanes, times + 1, units, row), np.float32),
            np.empty((lanes, times, 2 * units, row), np.float32),
            np.empty((lanes, times, units, row), np.float32),
            np.zeros((units, row), np.float32),
        )

    def give_back(self, room: Room) -> None:
        """Lets the next pass have it."""
        lanes, times, units, row = room.candidates.shape
        self._free.setdefault((lanes, times, units, row), []).append(room)


def recurrence(
    state: Tensor,
    cells: list[Cell],
    width: int,
    cutoff: float,
    scales: Tensor | None,
    rooms: Rooms | None = None,
) -> Tensor:
    """(R, B, n, w m) after n times through the cells; each time begins with dropout, if any.

    Args:
        state: (R, B, n, w m) float32.
        cells: the CGRUs of one time.
        width: w.
        cutoff: of the gates.
        scales: (R, n, B, n, w m) factors, or None.
        rooms: of the program.
    """
    if state.device.type == "cpu":
        flat = [tensor for each in cells for tensor in each]
        found: Tensor = Recurrence.apply(  # type: ignore[no-untyped-call]
            state.contiguous(), cutoff, scales, rooms or Rooms(), *flat
        )
        return found
    weights = [matrices(each, width) for each in cells]
    for time in range(state.shape[2]):
        if scales is not None:
            state = state * scales[:, time]
        for each in weights:
            state = step(state, each, width, cutoff)
    return state


class Recurrence(torch.autograd.Function):
    """`compiled.forward`, differentiable by the state and the cells."""

    @staticmethod
    def forward(
        ctx: Any, state: Tensor, cutoff: float, scales: Tensor | None, rooms: Rooms, *flat: Tensor
    ) -> Tensor:
        """The state after as many times as the tape is long."""
        lanes, batch, length, units = state.shape
        keep = any(ctx.needs_input_grad)
        times = length * len(flat) // len(Cell._fields) if keep else 1
        row = compiled.positions(batch, length)
        room = rooms.take(lanes, times, units, row)
        compiled.lay_out(state.numpy(), room.states[:, 0])
        factors = np.empty((lanes, 0, 0, 0, 0), np.float32) if scales is None else scales.numpy()
        maps = flat[3].shape[-1]
        rest = (_addresses(flat), maps, np.float32(cutoff), factors, (batch, length))
        compiled.forward(room.states, room.opened, room.candidates, room.reset, *rest)
        out = torch.empty_like(state)
        steps = length * len(flat) // len(Cell._fields)
        compiled.take_up(room.states[:, steps % room.states.shape[1]], out.numpy())
        ctx.rest, ctx.room, ctx.rooms, ctx.flat = rest, room, rooms, flat
        if not keep:
            rooms.give_back(room)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by the state and by each tensor of each cell."""
        room: Room = ctx.room
        lanes, _, units, row = room.states.shape
        back = outputs[0].contiguous()
        laid = np.zeros((lanes, units, row), np.float32)
        compiled.lay_out(back.numpy(), laid)
        found = [torch.zeros_like(t) for t in ctx.flat]
        weights, maps, cutoff, factors, shape = ctx.rest
        compiled.backward(
            laid,
            room.states,
            room.opened,
            room.candidates,
            weights,
            _addresses(found),
            maps,
            cutoff,
            factors,
            shape,
            np.zeros((5 * units, row), np.float32),
        )
        by_state = torch.empty_like(back)
        compiled.take_up(laid, by_state.numpy())
        ctx.rooms.give_back(room)
        return (by_state, None, None, None, *found)


def _addresses(flat: Any) -> np.ndarray:
    """(cells, 4) uint64 of contiguous tensors that someone else holds."""
    found = [t.data_ptr() for t in flat]
    return np.array(found, np.uint64).reshape(-1, len(Cell._fields))

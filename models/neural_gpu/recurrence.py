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
    """What one pass writes into; see `compiled.forward`. Zeros where no example has a position.

    Attributes:
        shape: lanes, states beside the first, units, examples and their length.
        memory: of all that follows.
    """

    shape: tuple[int, ...]
    memory: np.ndarray
    states: np.ndarray
    opened: np.ndarray
    candidates: np.ndarray
    reset: np.ndarray


class Rooms:
    """Rooms that are not in use, so that a step need not ask for fresh pages."""

    def __init__(self) -> None:
        self._free: list[Room] = []

    def take(self, lanes: int, times: int, units: int, batch: int, length: int) -> Room:
        """A room for so many states beside the first; last come, first gone."""
        shape = (lanes, times, units, batch, length)
        if self._free and self._free[-1].shape == shape:
            return self._free.pop()
        row = compiled.positions(batch, length)
        numbers = [n * units * row for n in (lanes * (times + 1), 2 * lanes * times, lanes * times)]
        memory = np.empty(0, np.float32)
        if self._free:
            memory = self._free.pop().memory
        need = sum(numbers) + units * row
        if memory.size < need:
            del memory  # it makes room for the larger one
            memory = np.empty(need, np.float32)
        states, opened, candidates, reset = np.split(memory[:need], np.cumsum(numbers))
        states.fill(0.0)
        reset.fill(0.0)
        return Room(
            shape,
            memory,
            states.reshape(lanes, times + 1, units, row),
            opened.reshape(lanes, times, 2 * units, row),
            candidates.reshape(lanes, times, units, row),
            reset.reshape(units, row),
        )

    def give_back(self, room: Room) -> None:
        """Lets the next pass have it."""
        self._free.append(room)


def recurrence(
    state: Tensor,
    sets: list[list[Cell]],
    width: int,
    cutoff: float,
    scales: Tensor | None,
    rooms: Rooms | None = None,
) -> Tensor:
    """(R, B, n, w m) after n times through the cells; each time begins with dropout, if any.

    Args:
        state: (R, B, n, w m) float32.
        sets: the CGRUs of one time; several sets take turns.
        width: w.
        cutoff: of the gates.
        scales: (R, n, B, n, w m) factors, or None.
        rooms: of the program.
    """
    if state.device.type == "cpu":
        flat = [tensor for cells in sets for each in cells for tensor in each]
        found: Tensor = Recurrence.apply(  # type: ignore[no-untyped-call]
            state.contiguous(), cutoff, scales, len(sets), rooms or Rooms(), *flat
        )
        return found
    weights = [[matrices(each, width) for each in cells] for cells in sets]
    for time in range(state.shape[2]):
        if scales is not None:
            state = state * scales[:, time]
        for each in weights[time % len(weights)]:
            state = step(state, each, width, cutoff)
    return state


class Recurrence(torch.autograd.Function):
    """`compiled.forward`, differentiable by the state and the cells."""

    @staticmethod
    def forward(
        ctx: Any,
        state: Tensor,
        cutoff: float,
        scales: Tensor | None,
        sets: int,
        rooms: Rooms,
        *flat: Tensor,
    ) -> Tensor:
        """The state after as many times as the tape is long."""
        lanes, batch, length, units = state.shape
        weights = _addresses(flat, sets)
        steps = length * weights.shape[1]
        keep = any(ctx.needs_input_grad)
        room = rooms.take(lanes, steps if keep else 1, units, batch, length)
        compiled.lay_out(state.numpy(), room.states[:, 0])
        factors = np.empty((lanes, 0, 0, 0, 0), np.float32) if scales is None else scales.numpy()
        rest = (weights, flat[3].shape[-1], np.float32(cutoff), factors, (batch, length))
        compiled.forward(room.states, room.opened, room.candidates, room.reset, *rest)
        out = torch.empty_like(state)
        compiled.take_up(room.states[:, steps % room.states.shape[1]], out.numpy())
        if keep:
            ctx.rest, ctx.room, ctx.rooms, ctx.flat = rest, room, rooms, flat
        else:
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
            _addresses(found, len(weights)),
            maps,
            cutoff,
            factors,
            shape,
            np.zeros((5 * units, row), np.float32),
        )
        by_state = torch.empty_like(back)
        compiled.take_up(laid, by_state.numpy())
        ctx.rooms.give_back(room)
        return (by_state, None, None, None, None, *found)


def _addresses(flat: Any, sets: int) -> np.ndarray:
    """(sets, cells, 4) uint64 of contiguous tensors that someone else holds."""
    found = np.array([t.data_ptr() for t in flat], np.uint64)
    return found.reshape(sets, -1, len(Cell._fields))

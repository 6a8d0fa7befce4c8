"""The Neural GPU's recurrence; on the CPU with a backward pass of its own.

There the matrix products are torch's, what lies between them is compiled (models.neural_gpu.gates),
and backward keeps four numbers a unit and step: the state, both gates and the candidate.
Neighbourhoods are made again, which is cheaper than fetching them from memory.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.neural_gpu import gates
from models.neural_gpu.cgru import Cell, step


class Kept:
    """What one CGRU at one time keeps for the way back; (R, B, n, k w m) each."""

    def __init__(self, state: Tensor, opened: Tensor, candidate: Tensor) -> None:
        self.state, self.opened, self.candidate = state, opened, candidate


def recurrence(state: Tensor, cells: list[Cell], cutoff: float, scales: Tensor | None) -> Tensor:
    """(R, B, n, w m) after n times through the cells; each time begins with dropout, if any.

    Args:
        state: (R, B, n, w m) float32.
        cells: the CGRUs of one time.
        cutoff: of the gates.
        scales: (n, R, B, n, w m) factors, or None.
    """
    if state.device.type == "cpu":
        flat = [tensor for each in cells for tensor in each]
        found: Tensor = Recurrence.apply(state.contiguous(), cutoff, scales, *flat)  # type: ignore[no-untyped-call]
        return found
    for time in range(state.shape[2]):
        if scales is not None:
            state = state * scales[time]
        for each in cells:
            state = step(state, each, cutoff)
    return state


class Recurrence(torch.autograd.Function):
    """`run`, differentiable by the state and the cells."""

    @staticmethod
    def forward(
        ctx: Any, state: Tensor, cutoff: float, scales: Tensor | None, *flat: Tensor
    ) -> Tensor:
        """The state after as many times as the tape is long."""
        cells = [Cell(*flat[i : i + 4]) for i in range(0, len(flat), 4)]
        keep = any(ctx.needs_input_grad)
        near = state.new_empty(*state.shape[:-1], 3 * state.shape[-1])
        kept: list[Kept] = []
        for time in range(state.shape[2]):
            if scales is not None:
                state = state * scales[time]
            for cell in cells:
                state, record = _forward(state, cell, cutoff, near)
                if keep:
                    kept.append(record)
                del record  # what is not kept makes room before the next
        ctx.cutoff, ctx.scales, ctx.cells, ctx.kept = cutoff, scales, cells, kept
        return state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by the state and by each tensor of each cell."""
        back = outputs[0].clone(memory_format=torch.contiguous_format)
        found = [[torch.zeros_like(t) for t in cell] for cell in ctx.cells]
        wide = back.shape[-1]
        shape = back.shape[:-1]
        room = Room(*(back.new_empty(*shape, k * wide) for k in (3, 3, 2, 1)))
        for time in range(back.shape[2] - 1, -1, -1):
            for number in range(len(ctx.cells) - 1, -1, -1):
                _backward(back, ctx.kept.pop(), ctx.cells[number], found[number], ctx.cutoff, room)
            if ctx.scales is not None:
                back = back * ctx.scales[time]
        return (back, None, None, *(g for cell in found for g in cell))


class Room:
    """Buffers of the way back: two neighbourhoods, and gradients by gates and candidate."""

    def __init__(
        self, near: Tensor, folded: Tensor, to_gates: Tensor, to_candidate: Tensor
    ) -> None:
        self.near, self.folded = near, folded
        self.to_gates, self.to_candidate = to_gates, to_candidate


def _rows(x: Tensor) -> Tensor:
    """(R, B n, k) from (R, B, n, k)."""
    return x.view(x.shape[0], -1, x.shape[-1])


def _forward(state: Tensor, cell: Cell, cutoff: float, near: Tensor) -> tuple[Tensor, Kept]:
    wide = state.shape[-1]
    opened = state.new_empty(*state.shape[:-1], 2 * wide)
    candidate, out = torch.empty_like(state), torch.empty_like(state)
    gates.spread(state.numpy(), near.numpy())
    torch.baddbmm(cell.gates_bias, _rows(near), cell.gates, out=_rows(opened))
    gates.open_gates(opened.numpy(), state.numpy(), near.numpy(), np.float32(cutoff))
    torch.baddbmm(cell.candidate_bias, _rows(near), cell.candidate, out=_rows(candidate))
    gates.blend(opened.numpy(), candidate.numpy(), state.numpy(), out.numpy())
    return out, Kept(state, opened, candidate)


def _backward(
    back: Tensor, kept: Kept, cell: Cell, found: list[Tensor], cutoff: float, room: Room
) -> None:
    """One CGRU: `back` becomes the gradient by the state before, `found` gathers the cell's."""
    by_gates, by_gates_bias, by_candidate, by_candidate_bias = found
    state, opened = kept.state.numpy(), kept.opened.numpy()
    near, folded, to_gates = room.near, room.folded, room.to_gates
    cut = np.float32(cutoff)
    gates.unblend(
        back.numpy(),
        opened,
        kept.candidate.numpy(),
        state,
        cut,
        to_gates.numpy(),
        room.to_candidate.numpy(),
        by_candidate_bias.numpy()[:, 0],
        near.numpy(),
    )
    by_candidate.baddbmm_(_rows(near).mT, _rows(room.to_candidate))
    torch.bmm(_rows(room.to_candidate), cell.candidate.mT, out=_rows(folded))
    gates.ungate(
        back.numpy(),
        folded.numpy(),
        opened,
        state,
        cut,
        to_gates.numpy(),
        by_gates_bias.numpy()[:, 0],
        near.numpy(),
    )
    by_gates.baddbmm_(_rows(near).mT, _rows(to_gates))
    torch.bmm(_rows(to_gates), cell.gates.mT, out=_rows(folded))
    gates.fold_into(back.numpy(), folded.numpy())

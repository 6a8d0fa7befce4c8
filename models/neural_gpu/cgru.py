"""The convolutional gated recurrent unit, lane-first, as products with block-banded matrices.

Kaiser & Sutskever 2015, arXiv 1511.08228, section 2: with * a bank of 3 x 3 convolutions,
u = g(U' * s + B'), r = g(U'' * s + B''), s <- u s + (1 - u) tanh(U * (r s) + B), and g the sigmoid
with a hard cutoff. A convolution over (length, width) is the product of three neighbouring rows
of width x maps numbers with a matrix that is banded in the width; grouped convolutions are slower
and their results depend on the number of lanes.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

#: added to the gates' biases, so that they start open
GATE_BIAS = 1.0


class Cell(NamedTuple):
    """One CGRU's weights; m maps, kernels are (3 over length, 3 over width, maps in, maps out).

    Attributes:
        gates: (R, 3, 3, m, 2 m), update gate first.
        gates_bias: (R, 2 m).
        candidate: (R, 3, 3, m, m).
        candidate_bias: (R, m).
    """

    gates: Tensor
    gates_bias: Tensor
    candidate: Tensor
    candidate_bias: Tensor


def cell(kernels: tuple[Tensor, Tensor, Tensor], biases: tuple[Tensor, Tensor, Tensor]) -> Cell:
    """From kernels (R, 3, 3, m, m) and biases (R, m) of update, reset and candidate."""
    return Cell(
        torch.cat(kernels[:2], -1).contiguous(),
        torch.cat(biases[:2], -1) + GATE_BIAS,
        kernels[2].contiguous(),
        biases[2].contiguous(),
    )


def banded(kernel: Tensor, width: int) -> Tensor:
    """(R, 3 w m, w out) from a kernel (R, 3, 3, m, out)."""
    lanes, _, _, maps, out = kernel.shape
    columns = [
        # (R, 3, w + 2, m, out): the kernel where output column j reads, borders cut off
        pad(kernel, (0, 0, 0, 0, j, width - 1 - j))[:, :, 1 : width + 1]
        for j in range(width)
    ]
    return torch.stack(columns, 4).reshape(lanes, 3 * width * maps, width * out)


class Matrices(NamedTuple):
    """One CGRU's weights as matrices, built once a step.

    Attributes:
        gates: (R, 3 w m, 2 w m); units are (width, gate, map).
        gates_bias: (R, 1, 2 w m).
        candidate: (R, 3 w m, w m).
        candidate_bias: (R, 1, w m).
    """

    gates: Tensor
    gates_bias: Tensor
    candidate: Tensor
    candidate_bias: Tensor


def matrices(weights: Cell, width: int) -> Matrices:
    """What `step` multiplies with."""
    return Matrices(
        banded(weights.gates, width),
        weights.gates_bias.repeat(1, width).unsqueeze(1),
        banded(weights.candidate, width),
        weights.candidate_bias.repeat(1, width).unsqueeze(1),
    )


def neighbours(state: Tensor) -> Tensor:
    """(R, B n, 3 w m): each position with the one before and the one after, zeros at the ends."""
    lanes, batch, length, row = state.shape
    padded = pad(state, (0, 0, 1, 1))
    near = torch.cat([padded[:, :, i : i + length] for i in range(3)], 3)
    return near.reshape(lanes, batch * length, 3 * row)


def gate(x: Tensor, cutoff: float) -> Tensor:
    """max(0, min(1, cutoff sigmoid(x) - (cutoff - 1) / 2)).

    The sigmoid is written as a tanh, whose kernel gives each element the same bits wherever it
    lies in the tensor; torch.sigmoid's does not.
    """
    return torch.clamp(torch.tanh(x * 0.5) * (cutoff / 2) + 0.5, 0.0, 1.0)


def step(state: Tensor, weights: Matrices, width: int, cutoff: float) -> Tensor:
    """One CGRU on a state (R, B, n, w m)."""
    shape = state.shape
    gates = gate(torch.baddbmm(weights.gates_bias, neighbours(state), weights.gates), cutoff)
    by_kind = gates.view(*shape[:-1], width, 2, shape[-1] // width)
    update, reset = (by_kind[..., kind, :].reshape(shape) for kind in range(2))
    kept = neighbours(reset * state)
    candidate = torch.tanh(torch.baddbmm(weights.candidate_bias, kept, weights.candidate))
    return update * state + (1.0 - update) * candidate.reshape(shape)

"""Compiled loops of the CGRU: what lies between its matrix products, forward and backward.

States are (R, B, n, w m). A row's neighbourhood (R, B, n, 3 w m) holds the row before, itself and
the row after, zeros at the ends; folding is the transpose of that.
"""

import numpy as np

from models.kernels.compiler import inlined, kernel
from models.kernels.squash import sigmoid, tanh

_HALF, _ONE = np.float32(0.5), np.float32(1.0)


@inlined
def _gate(x, cutoff):
    """The sigmoid with a hard cutoff."""
    g = sigmoid(x) * cutoff - (cutoff - _ONE) * _HALF
    return min(max(g, np.float32(0.0)), _ONE) if g == g else g  # noqa: PLR0124 - NaN


@inlined
def _slope(gate, cutoff):
    """The gate's derivative by what enters it: zero where it is cut off."""
    s = (gate - _HALF) / cutoff  # sigmoid - 1/2
    inside = (gate > 0) & (gate < 1)
    return cutoff * (np.float32(0.25) - s * s) if inside else np.float32(0.0)


@inlined
def _surround(near, rows, size):
    """Copies the middle thirds of an example's rows to their neighbours' outer thirds."""
    for j in range(size):
        near[0, j] = np.float32(0.0)
        near[rows - 1, 2 * size + j] = np.float32(0.0)
    for i in range(1, rows):
        for j in range(size):
            near[i, j] = near[i - 1, size + j]
            near[i - 1, 2 * size + j] = near[i, size + j]


@kernel
def spread(state, near):
    """`near` becomes the neighbourhood of a state."""
    lanes, batch, rows, size = state.shape
    for lane in range(lanes):
        for b in range(batch):
            for i in range(rows):
                for j in range(size):
                    near[lane, b, i, size + j] = state[lane, b, i, j]
            _surround(near[lane, b], rows, size)


@kernel
def open_gates(gates, state, near, cutoff):
    """Gates (.., 2 w m) from what enters them, in place; `near`: neighbourhood of reset x state."""
    lanes, batch, rows, size = state.shape
    for lane in range(lanes):
        for b in range(batch):
            for i in range(rows):
                g, s, to = gates[lane, b, i], state[lane, b, i], near[lane, b, i]
                update, reset, middle = g[:size], g[size:], to[size : 2 * size]
                for j in range(size):
                    update[j] = _gate(update[j], cutoff)
                for j in range(size):
                    r = _gate(reset[j], cutoff)
                    reset[j] = r
                    middle[j] = r * s[j]
            _surround(near[lane, b], rows, size)


@kernel
def blend(gates, candidate, state, out):
    """Candidate <- tanh(candidate); out = u state + (1 - u) candidate."""
    lanes, batch, rows, size = state.shape
    for lane in range(lanes):
        for b in range(batch):
            for i in range(rows):
                u, c = gates[lane, b, i, :size], candidate[lane, b, i]
                s, o = state[lane, b, i], out[lane, b, i]
                for j in range(size):
                    t = tanh(c[j])
                    c[j] = t
                    o[j] = u[j] * s[j] + (_ONE - u[j]) * t


@kernel
def unblend(back, gates, candidate, state, cutoff, to_gates, to_candidate, bias, near):
    """The way back through `blend`.

    Args:
        back: gradient by the state after; becomes its part by the state before.
        to_gates: its first half becomes the gradient by what enters the update gate.
        to_candidate: becomes the gradient by what enters the tanh.
        bias: (R, w m), to which the rows of to_candidate are added.
        near: becomes the neighbourhood of reset x state.
    """
    lanes, batch, rows, size = state.shape
    for lane in range(lanes):
        total = bias[lane]
        for b in range(batch):
            for i in range(rows):
                g, to = gates[lane, b, i], to_gates[lane, b, i, :size]
                u, r = g[:size], g[size:]
                c, s, d = candidate[lane, b, i], state[lane, b, i], back[lane, b, i]
                t, middle = to_candidate[lane, b, i], near[lane, b, i, size : 2 * size]
                for j in range(size):
                    by = d[j] * (_ONE - u[j]) * (_ONE - c[j] * c[j])
                    to[j] = d[j] * (s[j] - c[j]) * _slope(u[j], cutoff)
                    d[j] = d[j] * u[j]
                    t[j] = by
                    total[j] += by
                    middle[j] = r[j] * s[j]
            _surround(near[lane, b], rows, size)


@inlined
def _fold(near, i, rows, size, out):
    """`out` becomes row i of the fold of an example's neighbourhoods."""
    for j in range(size):
        out[j] = near[i, size + j]
    if i + 1 < rows:
        for j in range(size):
            out[j] += near[i + 1, j]
    if i > 0:
        for j in range(size):
            out[j] += near[i - 1, 2 * size + j]


@kernel
def ungate(back, folded, gates, state, cutoff, to_gates, bias, near):
    """The way back through `open_gates`.

    Args:
        back: gradient by the state; that by way of reset x state is added.
        folded: gradient by the neighbourhood of reset x state.
        to_gates: its second half becomes the gradient by what enters the reset gate.
        bias: (R, 2 w m), to which the rows of to_gates are added.
        near: becomes the neighbourhood of the state.
    """
    lanes, batch, rows, size = state.shape
    for lane in range(lanes):
        total = bias[lane]
        for b in range(batch):
            for i in range(rows):
                reset, s, d = gates[lane, b, i, size:], state[lane, b, i], back[lane, b, i]
                to, fold = to_gates[lane, b, i], folded[lane, b]
                middle = near[lane, b, i, size : 2 * size]
                _fold(fold, i, rows, size, middle)
                half = to[size:]
                for j in range(size):
                    by = middle[j]
                    half[j] = by * s[j] * _slope(reset[j], cutoff)
                    d[j] += by * reset[j]
                    middle[j] = s[j]
                for j in range(2 * size):
                    total[j] += to[j]
            _surround(near[lane, b], rows, size)


@kernel
def fold_into(back, folded):
    """Adds the fold of neighbourhoods to a gradient by a state."""
    lanes, batch, rows, size = back.shape
    row = np.empty(size, np.float32)
    for lane in range(lanes):
        for b in range(batch):
            for i in range(rows):
                d = back[lane, b, i]
                _fold(folded[lane, b], i, rows, size, row)
                for j in range(size):
                    d[j] += row[j]

"""The Neural GPU's recurrence on the CPU, forward and backward, one lane after another.

A state is held as (w m, P): a row for each unit, and in it the positions of all examples, one zero
before the first, between any two and after the last, P = B (n + 1) + 1. A convolution over length
then slides over the rows as they lie, and what the zeros' places receive is put back to zero. Both
gates come from one convolution whose units are (width, gate, map), update gate first. Kernels are
(3 over length, 3 over width, maps in, maps out).
"""

import numba
import numpy as np

from models.kernels.compiler import floats_at, inlined, kernel, summing_kernel
from models.kernels.product import after, sliding_product, transpose
from models.kernels.squash import sigmoid, tanh

_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)


def positions(batch: int, length: int) -> int:
    """P, of a row that holds so many examples of that length."""
    return batch * (length + 1) + 1


@inlined
def _gate(x, cutoff):
    """The sigmoid with a hard cutoff."""
    g = sigmoid(x) * cutoff - (cutoff - _ONE) * _HALF
    return min(max(g, _ZERO), _ONE) if g == g else g  # noqa: PLR0124 - NaN


@inlined
def _slope(gate, cutoff):
    """The gate's derivative by what enters it: zero where it is cut off."""
    s = (gate - _HALF) / cutoff  # sigmoid - 1/2
    inside = (gate > 0) & (gate < 1)
    return cutoff * (np.float32(0.25) - s * s) if inside else _ZERO


@inlined
def _at(x):
    return np.uint64(x.ctypes.data)


@inlined
def _cube(address, lane, size):
    """The numbers of one lane, of a tensor that holds `size` a lane."""
    return numba.carray(floats_at(after(address, lane * size)), (size,))


@kernel
def convolve(weights, into, gives, width, state, out):
    """`out` (w gives, P) but for its ends: 3 x 3 convolution of `state` (w into, P) by a kernel.

    Args:
        weights: address of (3, 3, into, gives).
        state, out: arrays; `state` is zero where no example has a position.
    """
    row = np.int64(state.shape[1])
    for j in range(width):
        low, high = max(j - 1, 0), min(j + 1, width - 1)
        sliding_product(
            after(weights, (low - j + 1) * into * gives),
            np.int64(1),
            np.int64(gives),
            np.int64(3 * into * gives),
            after(_at(state), low * into * row),
            row,
            np.int64(1),
            after(_at(out), j * gives * row + 1),
            row,
            np.int64(gives),
            np.int64((high - low + 1) * into),
            row - 2,
            np.int64(3),
        )


@kernel
def _correlate(back, gives, width, turned, into, room, found):
    """Adds a convolution's gradient by its kernel, as (3 over length, out, 3 over width, in).

    Args:
        back: (w gives, P), gradient by what came out; zero where no example has a position.
        turned: (P, w into), transpose of what went in.
        room: (gives, 3 into).
        found: (3, gives, 3 into), to which it is added.
    """
    row, across = np.int64(back.shape[1]), np.int64(turned.shape[1])
    for along in range(3):
        for j in range(width):
            low, high = max(j - 1, 0), min(j + 1, width - 1)
            columns = (high - low + 1) * into
            sliding_product(
                after(_at(back), j * gives * row + 1),
                row,
                np.int64(1),
                np.int64(0),
                after(_at(turned), along * across + low * into),
                across,
                np.int64(0),
                _at(room),
                np.int64(3 * into),
                np.int64(gives),
                row - 2,
                np.int64(columns),
                np.int64(1),
            )
            first = (low - j + 1) * into
            for o in range(gives):
                for i in range(columns):
                    found[along, o, first + i] += room[o, i]


@kernel
def _flip(weights, into, gives, out):
    """The kernel by which a gradient goes back: both axes reversed, maps in and out exchanged."""
    w = numba.carray(floats_at(weights), (3, 3, into, gives))
    for a in range(3):
        for b in range(3):
            for i in range(into):
                for o in range(gives):
                    out[2 - a, 2 - b, o, i] = w[a, b, i, o]


@summing_kernel
def _add_sums(back, gives, out):
    """Adds each map's sum over width and positions."""
    for unit in range(len(back)):
        total = np.float32(0.0)
        for p in range(back.shape[1]):
            total += back[unit, p]
        out[unit % gives] += total


@inlined
def _clear(state, batch, length):
    """Zeros where no example has a position."""
    for unit in range(len(state)):
        for b in range(batch + 1):
            state[unit, b * (length + 1)] = _ZERO


@inlined
def _scale(state, factors):
    """Multiplies by the factors of dropout, (B, n, w m)."""
    batch, length, units = factors.shape
    for unit in range(units):
        for b in range(batch):
            for i in range(length):
                state[unit, b * (length + 1) + 1 + i] *= factors[b, i, unit]


@kernel
def lay_out(state, laid):
    """(R, B, n, w m) as (R, w m, P), whose other places are left alone."""
    lanes, batch, length, units = state.shape
    for lane in range(lanes):
        for b in range(batch):
            for i in range(length):
                for unit in range(units):
                    laid[lane, unit, b * (length + 1) + 1 + i] = state[lane, b, i, unit]


@kernel
def take_up(laid, state):
    """The way back from `lay_out`."""
    lanes, batch, length, units = state.shape
    for lane in range(lanes):
        for b in range(batch):
            for i in range(length):
                for unit in range(units):
                    state[lane, b, i, unit] = laid[lane, unit, b * (length + 1) + 1 + i]


@kernel
def _step(state, opened, reset, candidate, out, weights, lane, maps, cutoff):
    """One CGRU: `out` from `state`, by way of the gates, reset x state and the candidate.

    Args:
        weights: (4,) addresses of the cell's kernels and biases, gates first.
    """
    units, row = state.shape
    width = units // maps
    size = 9 * maps * maps
    convolve(after(weights[0], lane * 2 * size), maps, 2 * maps, width, state, opened)
    bias = _cube(weights[1], lane, 2 * maps)
    for j in range(width):
        for o in range(maps):
            unit, u = j * maps + o, 2 * j * maps + o
            r = u + maps
            by_u, by_r = bias[o], bias[maps + o]
            for p in range(1, row - 1):
                opened[u, p] = _gate(opened[u, p] + by_u, cutoff)
            for p in range(1, row - 1):
                g = _gate(opened[r, p] + by_r, cutoff)
                opened[r, p] = g
                reset[unit, p] = g * state[unit, p]
    convolve(after(weights[2], lane * size), maps, maps, width, reset, candidate)
    bias = _cube(weights[3], lane, maps)
    for j in range(width):
        for o in range(maps):
            unit, u = j * maps + o, 2 * j * maps + o
            by = bias[o]
            for p in range(1, row - 1):
                c, g = tanh(candidate[unit, p] + by), opened[u, p]
                candidate[unit, p] = c
                out[unit, p] = g * state[unit, p] + (_ONE - g) * c


@kernel
def forward(states, opened, candidates, reset, weights, maps, cutoff, scales, shape):
    """All times of all lanes; the state of the end is left where the next time would read it.

    Args:
        states: (R, S, w m, P); the first is the beginning. S is one more than times x cells, where
            the way back needs all, or 2: then they are written in turn.
        opened: (R, S', 2 w m, P) gates, S' being S - 1; likewise.
        candidates: (R, S', w m, P); likewise.
        reset: (w m, P), zero where no example has a position.
        weights: (sets, cells, 4) uint64 addresses; the sets take turns in time.
        scales: (R, n, B, n, w m) factors of dropout, or of no element.
        shape: B and n.
    """
    batch, length = shape
    sets, cells = weights.shape[0], weights.shape[1]
    kept, places = opened.shape[1], states.shape[1]
    for lane in range(len(states)):
        at = 0
        for time in range(length):
            if scales.size:
                _scale(states[lane, at % places], scales[lane, time])
            for cell in range(cells):
                out = states[lane, (at + 1) % places]
                _step(
                    states[lane, at % places],
                    opened[lane, at % kept],
                    reset,
                    candidates[lane, at % kept],
                    out,
                    weights[time % sets, cell],
                    lane,
                    maps,
                    cutoff,
                )
                _clear(out, batch, length)
                at += 1


@kernel
def _step_back(back, state, opened, candidate, to_gates, to_candidate, reset, by_bias, cutoff):
    """What lies between the convolutions of one CGRU, first half; see `backward`."""
    units, row = state.shape
    maps = len(by_bias)
    for unit in range(units):
        u = unit + unit // maps * maps
        r = u + maps
        for p in range(1, row - 1):
            d, c, g, s = back[unit, p], candidate[unit, p], opened[u, p], state[unit, p]
            to_candidate[unit, p] = d * (_ONE - g) * (_ONE - c * c)
            to_gates[u, p] = d * (s - c) * _slope(g, cutoff)
            back[unit, p] = d * g
            reset[unit, p] = opened[r, p] * s
    _add_sums(to_candidate, maps, by_bias)


@inlined
def _through_reset(back, folded, gates, state, to_gates, maps, cutoff):
    """The gradient by reset x state, parted: that by the reset gates' input, and by the state."""
    units, row = state.shape
    for unit in range(units):
        r = unit + (unit // maps + 1) * maps
        for p in range(1, row - 1):
            by, g = folded[unit, p], gates[r, p]
            to_gates[r, p] = by * state[unit, p] * _slope(g, cutoff)
            back[unit, p] += by * g


@inlined
def _add(x, more):
    units, row = x.shape
    for unit in range(units):
        for p in range(1, row - 1):
            x[unit, p] += more[unit, p]


@kernel
def backward(back, states, opened, candidates, weights, found, maps, cutoff, scales, shape, room):
    """The way back: `back` becomes the gradient by the first states.

    Args:
        back: (R, w m, P) gradient by the last states; zero where no example has a position.
        states, opened, candidates, weights, maps, cutoff, scales, shape: as `forward` had them.
        found: (sets, cells, 4) uint64 addresses of the gradients by their tensors, zeros.
        room: (5 w m, P) float32 zeros: gradients by gates and candidate, reset x state, fold.
    """
    batch, length = shape
    units, row = back.shape[1], back.shape[2]
    width = units // maps
    sets, cells = weights.shape[0], weights.shape[1]
    used = min(sets, length)
    to_gates, to_candidate = room[: 2 * units], room[2 * units : 3 * units]
    reset, folded = room[3 * units : 4 * units], room[4 * units : 5 * units]
    turned = np.empty((row, units), np.float32)
    gates_back = np.empty((used, cells, 3, 3, 2 * maps, maps), np.float32)
    candidate_back = np.empty((used, cells, 3, 3, maps, maps), np.float32)
    by_gates = np.empty((used, cells, 3, 2 * maps, 3 * maps), np.float32)
    by_candidate = np.empty((used, cells, 3, maps, 3 * maps), np.float32)
    small = np.empty((2 * maps, 3 * maps), np.float32)
    size = 9 * maps * maps
    for lane in range(len(back)):
        d = back[lane]
        by_gates[:] = _ZERO
        by_candidate[:] = _ZERO
        for i in range(used):
            for cell in range(cells):
                w, v = weights[i, cell, 0], weights[i, cell, 2]
                _flip(after(w, lane * 2 * size), maps, 2 * maps, gates_back[i, cell])
                _flip(after(v, lane * size), maps, maps, candidate_back[i, cell])
        at = length * cells
        for time in range(length - 1, -1, -1):
            i = time % sets
            for cell in range(cells - 1, -1, -1):
                at -= 1
                state, gates = states[lane, at], opened[lane, at]
                by_bias = _cube(found[i, cell, 3], lane, maps)
                candidate = candidates[lane, at]
                _step_back(
                    d, state, gates, candidate, to_gates, to_candidate, reset, by_bias, cutoff
                )
                transpose(_at(reset), units, row, _at(turned))
                _correlate(to_candidate, maps, width, turned, maps, small, by_candidate[i, cell])
                convolve(_at(candidate_back[i, cell]), maps, maps, width, to_candidate, folded)
                _through_reset(d, folded, gates, state, to_gates, maps, cutoff)
                _add_sums(to_gates, 2 * maps, _cube(found[i, cell, 1], lane, 2 * maps))
                transpose(_at(state), units, row, _at(turned))
                _correlate(to_gates, 2 * maps, width, turned, maps, small, by_gates[i, cell])
                convolve(_at(gates_back[i, cell]), 2 * maps, maps, width, to_gates, folded)
                _add(d, folded)
                _clear(d, batch, length)
            if scales.size:
                _scale(d, scales[lane, time])
        for i in range(used):
            for cell in range(cells):
                to, into = found[i, cell, 0], found[i, cell, 2]
                _gather(by_gates[i, cell], maps, 2 * maps, after(to, lane * 2 * size))
                _gather(by_candidate[i, cell], maps, maps, after(into, lane * size))


@kernel
def _gather(found, into, gives, out):
    """A kernel's gradient in the kernel's own order."""
    w = numba.carray(floats_at(out), (3, 3, into, gives))
    for a in range(3):
        for o in range(gives):
            for b in range(3):
                for i in range(into):
                    w[a, b, i, o] = found[a, o, b * into + i]

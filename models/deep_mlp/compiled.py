"""The deep MLP on the CPU: loss, gradients and test errors, one lane after another.

A lane's weights and activations fit in the second-level cache and its products are small, so going
through all of a lane's layers beats going through all lanes' layers, whatever the number of lanes.
Activations are held as (units, B): the batch fills whole vectors, and weights are read where they
lie. Leaves come as addresses: the biases of all layers, then their weights.
"""

import numba
import numpy as np

from models.kernels.compiler import floats_at, inlined, kernel
from models.kernels.normal import logarithm
from models.kernels.product import after, product, transpose
from models.kernels.squash import exp_negative

_ZERO, _LEAST = np.float32(0.0), np.float32(-40.0)


def room(sizes: list[int], batch: int) -> int:
    """Float32 numbers of scratch that `gradients` and `test` take for examples of that number."""
    return batch * (sizes[0] + sum(sizes[1:]) + 3 * max(sizes[1:]))


@inlined
def _matrix(address, rows, columns):
    return numba.carray(floats_at(address), (rows, columns))


@inlined
def _activate(x, bias):
    """ReLU of x (units, B) plus a unit's bias; NaN stays NaN."""
    units, batch = x.shape
    for j in range(units):
        for b in range(batch):
            y = x[j, b] + bias[j]
            x[j, b] = _ZERO if y < 0 else y


@kernel
def _forward(params, lane, sizes, pixels, outs, turned, batch, scales):
    """Activations of every layer, one after another from `outs`; returns where the logits lie.

    Args:
        params: (L,) uint64 addresses of the leaves.
        lane: index of the lane.
        sizes: (depth + 2,) int64 numbers that each layer takes and gives.
        pixels: address of (B, sizes[0]) inputs.
        outs: address of room for (units, B) of each layer.
        turned: address of room for (B, units).
        batch: B.
        scales: (depth, B, units) factors of dropout; of no element where none is dropped.
    """
    last = sizes.size - 2
    at, before = outs, pixels
    for layer in range(last + 1):
        into, gives = sizes[layer], sizes[layer + 1]
        bias = _matrix(params[layer], lane + 1, gives)[lane]
        w = after(params[last + 1 + layer], lane * into * gives)
        out = _matrix(at, gives, batch)
        if layer == 0:  # images come as rows
            product(pixels, into, 1, w, gives, turned, gives, batch, into, gives)
            transpose(turned, batch, gives, at)
        else:
            product(w, 1, gives, before, batch, at, batch, gives, into, batch)
        if layer == last:
            for j in range(gives):
                for b in range(batch):
                    out[j, b] += bias[j]
            return at
        _activate(out, bias)
        if scales.size:
            for j in range(gives):
                for b in range(batch):
                    out[j, b] *= scales[layer, b, j]
        before = at
        at = after(at, gives * batch)
    return at


@inlined
def _judge(logits, labels, losses, wrong):
    """Cross-entropies and whether the largest logit is another's; logits become probabilities."""
    classes, batch = logits.shape
    for b in range(batch):
        most, best = logits[0, b], 0
        for j in range(1, classes):
            if logits[j, b] > most:
                most, best = logits[j, b], j
        label = labels[b]
        truth = logits[label, b] - most
        total = _ZERO
        for j in range(classes):
            x = logits[j, b] - most
            e = exp_negative(max(x, _LEAST)) if x == x else x  # noqa: PLR0124 - NaN
            logits[j, b] = e
            total += e
        losses[b] = (logarithm(total) if total == total else total) - truth  # noqa: PLR0124 - NaN
        wrong[b] = np.float32(best != label)
        for j in range(classes):
            logits[j, b] /= total


@inlined
def _widest(sizes):
    most = 0
    for layer in range(1, sizes.size):
        most = max(most, sizes[layer])
    return most


@inlined
def _fetch(images, labels, chosen, rows, truth):
    """The chosen images and labels, copied."""
    for b in range(chosen.size):
        picture = images[chosen[b]]
        for i in range(picture.size):
            rows[b, i] = picture[i]
        truth[b] = labels[chosen[b]]


@inlined
def _through_units(e, out, factors, layer):
    """A gradient by a layer's activations, taken back through its dropout and its ReLUs."""
    units, batch = e.shape
    if factors.size:
        for j in range(units):
            for b in range(batch):
                e[j, b] *= factors[layer, b, j]
    for j in range(units):
        for b in range(batch):  # where a unit gave nothing, nothing comes back
            e[j, b] = _ZERO if out[j, b] <= 0 else e[j, b]


@kernel
def _backward(params, found, lane, sizes, pixels, logits, turned, back, other, batch, factors):
    """Gradients by every leaf, from that by the logits, (classes, B) at `back`.

    Args:
        params, found: (L,) uint64 addresses of the leaves and of their gradients.
        lane, sizes, pixels, turned, batch, factors: as `_forward` had them.
        logits: where it left them, after the activations of all layers.
        other: address of room for (units, B), as `back` is.
    """
    last = sizes.size - 2
    at = logits
    for layer in range(last, -1, -1):
        into, gives = sizes[layer], sizes[layer + 1]
        transpose(back, gives, batch, turned)
        t = _matrix(turned, batch, gives)
        by_bias = _matrix(found[layer], lane + 1, gives)[lane]
        by_bias[:] = _ZERO
        for b in range(batch):
            for j in range(gives):
                by_bias[j] += t[b, j]
        skip = lane * into * gives
        by_w = after(found[last + 1 + layer], skip)
        if layer == 0:
            product(pixels, 1, into, turned, gives, by_w, gives, into, batch, gives)
            return
        at = after(at, -into * batch)
        product(at, batch, 1, turned, gives, by_w, gives, into, batch, gives)
        w = after(params[last + 1 + layer], skip)
        product(w, gives, 1, back, batch, other, batch, into, gives, batch)
        back, other = other, back
        _through_units(_matrix(back, into, batch), _matrix(at, into, batch), factors, layer - 1)


@kernel
def gradients(params, found, sizes, images, labels, chosen, scales, scratch, loss, error):
    """Mean cross-entropy, training error and gradients of one batch of each lane.

    Args:
        params, found: (L,) uint64 addresses of the leaves and of their gradients.
        sizes: (depth + 2,) int64.
        images: (N, pixels) float32.
        labels: (N,) int64.
        chosen: (R, B) int64.
        scales: (R, depth, B, units) factors of dropout, or of no element.
        scratch: float32 numbers, at least `room`.
        loss, error: (R,) float32.
    """
    lanes, batch = chosen.shape
    most, classes = _widest(sizes), sizes[sizes.size - 1]
    pixels = np.uint64(scratch.ctypes.data)
    turned = after(pixels, batch * sizes[0])
    back = after(turned, batch * most)
    other = after(back, batch * most)
    outs = after(other, batch * most)
    truth = np.empty(batch, np.int64)
    losses = np.empty(batch, np.float32)
    wrong = np.empty(batch, np.float32)
    for lane in range(lanes):
        _fetch(images, labels, chosen[lane], _matrix(pixels, batch, sizes[0]), truth)
        factors = scales[lane]
        at = _forward(params, lane, sizes, pixels, outs, turned, batch, factors)
        logits = _matrix(at, classes, batch)
        _judge(logits, truth, losses, wrong)
        loss[lane], error[lane] = losses.mean(), wrong.mean()
        e = _matrix(back, classes, batch)
        for j in range(classes):
            for b in range(batch):
                e[j, b] = (logits[j, b] - np.float32(truth[b] == j)) / np.float32(batch)
        _backward(params, found, lane, sizes, pixels, at, turned, back, other, batch, factors)


@kernel
def test(params, lanes, sizes, images, labels, chunk, scratch, losses, wrong):
    """Cross-entropies and errors of every test example, (R, N) each, `chunk` examples at a time."""
    turned = np.uint64(scratch.ctypes.data)
    outs = after(turned, chunk * _widest(sizes))
    none = np.empty((0, 0, 0), np.float32)
    for lane in range(lanes):
        for first in range(0, len(images), chunk):
            count = min(chunk, len(images) - first)
            pixels = after(np.uint64(images.ctypes.data), first * sizes[0])
            at = _forward(params, lane, sizes, pixels, outs, turned, count, none)
            _judge(
                _matrix(at, sizes[sizes.size - 1], count),
                labels[first : first + count],
                losses[lane, first : first + count],
                wrong[lane, first : first + count],
            )

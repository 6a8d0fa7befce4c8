"""Normal numbers cut at two standard deviations, from Threefry words by the inverse distribution.

A uniform y in (-c, c), c = P(|z| < 2), gives z = sqrt(2) erfinv(y). As Giles 2010 ("Approximating
the erfinv function") has it, that is y times a polynomial in w = -ln(1 - y^2): here a Chebyshev fit
that is right to 6e-8. The standard deviation of what comes is 0.8796 of that of the uncut law.
"""

import math

import numba
import numpy as np
import torch
from torch import Tensor

from models.kernels.compiler import floats_at, inlined, kernel, signed
from models.kernels.leaves import LeafList
from models.kernels.normal import logarithm
from models.kernels.threefry import words, words_on_device

U, F = numba.uint32, numba.float32
#: where the tails are cut, in standard deviations
CUT = 2.0
WITHIN = np.float32(math.erf(CUT / math.sqrt(2.0)))
#: sqrt(2) erfinv(y) / y in w - 5/4, lowest power first, for w from 0 to 2.42
FIT = np.array(
    [
        1.68229411,
        0.352873934,
        0.00355225344,
        -0.00318661974,
        0.000202449369,
        4.30094291e-05,
        -6.52931611e-06,
    ],
    np.float32,
)
P0, P1, P2, P3, P4, P5, P6 = FIT


@inlined
def truncated(bits):
    """One number from 32 bits."""
    x = (F(signed(bits)) + np.float32(0.5)) * np.float32(2.0**-31)
    y = max(min(x, np.float32(1.0)), np.float32(-1.0)) * WITHIN
    w = -logarithm(np.float32(1.0) - y * y) - np.float32(1.25)
    p = P6
    p = p * w + P5
    p = p * w + P4
    p = p * w + P3
    p = p * w + P2
    p = p * w + P1
    p = p * w + P0
    return y * p


def add_truncated(leaves: LeafList, gain: Tensor, std: Tensor, keys: np.ndarray, step: int) -> None:
    """Leaves <- gain x leaves + std x truncated normal, in place, each lane from its own key.

    A lane of std 0 draws nothing, and with a gain of 1 keeps its bits.

    Args:
        leaves: (R, ...) float32; a leaf's draws follow those of the leaf before it.
        gain: (R,) float32.
        std: (R,) float32, of the law before it is cut.
        keys: (R, 4) uint32.
        step: the counter's second word: another step, other draws.
    """
    if leaves.addresses is not None:
        _add_truncated(leaves.addresses, leaves.sizes, gain.numpy(), std.numpy(), keys, U(step))
        return
    on_device = torch.from_numpy(keys.astype(np.int64)).to(gain.device)
    first = 0
    for leaf, size in zip(leaves.tensors, leaves.sizes.tolist(), strict=True):
        flat = leaf.view(len(leaf), -1)
        blocks = -(-size // 4)
        drawn = words_on_device(on_device, first, blocks, step).flatten(1)[:, :size]
        plain = gain[:, None] * flat
        noisy = plain + std[:, None] * truncated_on_device(drawn)
        flat.copy_(torch.where(std[:, None] > 0, noisy, plain))
        first += blocks


@kernel
def _add_truncated(addresses, sizes, gain, std, keys, step):
    for lane in range(gain.size):
        by, scale = gain[lane], std[lane]
        k0, k1, k2, k3 = keys[lane, 0], keys[lane, 1], keys[lane, 2], keys[lane, 3]
        first = U(0)
        for leaf in range(addresses.size):
            x = numba.carray(floats_at(addresses[leaf]), (gain.size, sizes[leaf]))[lane]
            blocks = (x.size + 3) // 4
            if scale > 0:
                for i in range(blocks):
                    a, b, c, d = words(k0, k1, k2, k3, U(first + U(i)), step)
                    x[i] = by * x[i] + scale * truncated(a)
                    if i + blocks < x.size:
                        x[i + blocks] = by * x[i + blocks] + scale * truncated(b)
                    if i + 2 * blocks < x.size:
                        x[i + 2 * blocks] = by * x[i + 2 * blocks] + scale * truncated(c)
                    if i + 3 * blocks < x.size:
                        x[i + 3 * blocks] = by * x[i + 3 * blocks] + scale * truncated(d)
            elif by != 1:
                for i in range(x.size):
                    x[i] *= by
            first = U(first + U(blocks))


def truncated_on_device(drawn: Tensor) -> Tensor:
    """Float32 numbers from words (int64 in [0, 2**32)), by torch on any device."""
    whole = drawn - ((drawn >> 31) << 32)
    x = (whole.float() + 0.5) * 2.0**-31
    return torch.erfinv(x.clamp(-1.0, 1.0) * float(WITHIN)) * math.sqrt(2.0)

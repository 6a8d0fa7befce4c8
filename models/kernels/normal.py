"""Standard normal numbers from Threefry words by the Box-Muller transform, added in place.

Box & Muller 1958: a radius sqrt(-2 ln u) and a uniform angle give two normal numbers. Of an
angle's 32 bits, 30 give a direction within an eighth of a turn around an axis, one exchanges the
axes and one reverses an axis, so that sine and cosine are short polynomials. The largest magnitude
is sqrt(2 ln 2**32) = 6.66; radius and direction are right to a few units in the last place.
"""

import math

import numba
import numpy as np
import torch
from torch import Tensor

from models.kernels.compiler import bits_of, float_of, floats_at, inlined, kernel, signed
from models.kernels.leaves import LeafList
from models.kernels.threefry import words, words_on_device

U, I, F = numba.uint32, numba.int32, numba.float32  # noqa: E741 - the types of a kernel's words
LN2 = np.float32(math.log(2.0))
#: Chebyshev fits: (ln(1 + m) - m) / m^2 on [-1/4, 1/2]; sin(pi a / 2) / a and cos(pi a / 2) in a^2
#: for a in [-1/2, 1/2]; lowest power first
LOG = np.array(
    [
        -0.5000001,
        0.3333353,
        -0.2499685,
        0.19978936,
        -0.16761579,
        0.14920059,
        -0.12385737,
        0.05890935,
    ],
    np.float32,
)
SIN = np.array([1.5707964, -0.6459641, 0.07969258, -0.0046812664, 0.00015820652], np.float32)
COS = np.array([1.0, -1.2337005, 0.2536692, -0.02086007, 0.0009036299], np.float32)
L0, L1, L2, L3, L4, L5, L6, L7 = LOG
S0, S1, S2, S3, S4 = SIN
C0, C1, C2, C3, C4 = COS
_THREE_QUARTERS = 0x3F400000
_SIGN, _AXES = 0x80000000, 0x40000000


@inlined
def logarithm(u):
    """Ln u for a positive normal float32."""
    raw = bits_of(u)
    exponent = I(I(raw - I(_THREE_QUARTERS)) >> I(23))
    m = float_of(I(raw - I(exponent << I(23)))) - np.float32(1.0)  # [-1/4, 1/2)
    q = L7
    q = q * m + L6
    q = q * m + L5
    q = q * m + L4
    q = q * m + L3
    q = q * m + L2
    q = q * m + L1
    q = q * m + L0
    return F(exponent) * LN2 + (q * m * m + m)


@inlined
def radius(bits):
    """sqrt(-2 ln u) for u = (bits / 2 + 1/2) / 2**31, rounded down to 31 bits."""
    u = (F(signed(U(bits >> U(1)))) + np.float32(0.5)) * np.float32(2.0**-31)
    return np.sqrt(max(np.float32(-2.0) * logarithm(u), np.float32(0.0)))


@inlined
def direction(bits):
    """Cosine and sine of a uniform angle."""
    a = F(I(signed(U(bits << U(2))) >> I(2))) * np.float32(2.0**-30)  # [-1/2, 1/2)
    v = a * a
    s = S4
    s = s * v + S3
    s = s * v + S2
    s = s * v + S1
    s = (s * v + S0) * a
    c = C4
    c = c * v + C3
    c = c * v + C2
    c = c * v + C1
    c = c * v + C0
    c = float_of(I(bits_of(c) ^ signed(U(bits & U(_SIGN)))))
    swap = (bits & U(_AXES)) != U(0)
    return (c if swap else s), (s if swap else c)


def add_normal(leaves: LeafList, gain: Tensor, std: Tensor, keys: np.ndarray, step: int) -> None:
    """Leaves <- gain x leaves + std x normal, in place, each lane from its own key.

    A lane of std 0 draws nothing, and with a gain of 1 keeps its bits.

    Args:
        leaves: (R, ...) float32; a leaf's draws follow those of the leaf before it.
        gain: (R,) float32.
        std: (R,) float32.
        keys: (R, 4) uint32.
        step: the counter's second word: another step, other draws.
    """
    if leaves.addresses is not None:
        _add_normal(leaves.addresses, leaves.sizes, gain.numpy(), std.numpy(), keys, U(step))
        return
    on_device = torch.from_numpy(keys.astype(np.int64)).to(gain.device)
    first = 0
    for leaf, size in zip(leaves.tensors, leaves.sizes.tolist(), strict=True):
        flat = leaf.view(len(leaf), -1)
        blocks = -(-size // 4)
        drawn = normal_on_device(words_on_device(on_device, first, blocks, step))[:, :size]
        plain = gain[:, None] * flat
        flat.copy_(torch.where(std[:, None] > 0, plain + std[:, None] * drawn, plain))
        first += blocks


@kernel
def _add_normal(addresses, sizes, gain, std, keys, step):
    for lane in range(gain.size):
        by, scale = gain[lane], std[lane]
        k0, k1, k2, k3 = keys[lane, 0], keys[lane, 1], keys[lane, 2], keys[lane, 3]
        first = U(0)
        for leaf in range(addresses.size):
            x = numba.carray(floats_at(addresses[leaf]), (gain.size, sizes[leaf]))[lane]
            blocks = (x.size + 3) // 4
            if scale > 0:
                _noise(x, blocks, by, scale, k0, k1, k2, k3, first, step)
            elif by != 1:
                for i in range(x.size):
                    x[i] *= by
            first = U(first + U(blocks))


@inlined
def _noise(x, blocks, by, scale, k0, k1, k2, k3, first, step):
    """Block i gives elements i, i + blocks, i + 2 blocks and i + 3 blocks, those that there are."""
    whole = max(x.size - 3 * blocks, 0)
    x0, x1 = x[:whole], x[blocks : blocks + whole]
    x2, x3 = x[2 * blocks : 2 * blocks + whole], x[3 * blocks : 3 * blocks + whole]
    for i in range(whole):
        a, b, c, d = words(k0, k1, k2, k3, U(first + U(i)), step)
        r, t = radius(a) * scale, radius(c) * scale
        p, q = direction(b)
        v, w = direction(d)
        x0[i] = by * x0[i] + r * p
        x1[i] = by * x1[i] + r * q
        x2[i] = by * x2[i] + t * v
        x3[i] = by * x3[i] + t * w
    for i in range(whole, blocks):
        a, b, c, d = words(k0, k1, k2, k3, U(first + U(i)), step)
        r, t = radius(a) * scale, radius(c) * scale
        p, q = direction(b)
        v, _ = direction(d)
        x[i] = by * x[i] + r * p
        if i + blocks < x.size:
            x[i + blocks] = by * x[i + blocks] + r * q
        if i + 2 * blocks < x.size:
            x[i + 2 * blocks] = by * x[i + 2 * blocks] + t * v


def normal_on_device(drawn: Tensor) -> Tensor:
    """(R, 4 blocks) float32 normal numbers from words (R, 4, blocks), by torch on any device."""
    u = ((drawn[:, 0::2] >> 1).float() + 0.5) * 2.0**-31
    r = (-2.0 * torch.log(u)).clamp_min(0.0).sqrt()
    angle = drawn[:, 1::2]
    a = ((angle & (_AXES - 1)) - ((angle & (_AXES >> 1)) << 1)).float() * 2.0**-30
    s, c = torch.sin(a * (math.pi / 2)), torch.cos(a * (math.pi / 2))
    c = torch.where((angle & _SIGN) != 0, -c, c)
    swap = (angle & _AXES) != 0
    p, q = torch.where(swap, c, s), torch.where(swap, s, c)
    return torch.stack([r * p, r * q], 2).flatten(1)

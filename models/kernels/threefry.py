"""Threefry-4x32: random words as a function of a key and a counter, with no state to carry.

Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3": add, rotate and
xor in rounds, a part of the 128-bit key added after every fourth. 12 rounds are the fewest that
pass BigCrush there. The counter is (block, step, 0, 0), so that any step can be sought.
"""

import numba
import torch
from torch import Tensor

from models.kernels.compiler import inlined

U = numba.uint32
#: Skein's parity constant for 32-bit words
PARITY = 0x1BD11BDA
#: rotations of the two mixes of a round, repeating after eight rounds
ROTATIONS = (
    (10, 26),
    (11, 21),
    (13, 27),
    (23, 5),
    (6, 20),
    (17, 11),
    (25, 10),
    (18, 20),
)
ROUNDS = 12
_MASK = 0xFFFFFFFF


@inlined
def mix(a, b, by):
    """One addition, rotation and exclusive or."""
    total = U(a + b)
    return total, U(U((b << U(by)) | (b >> U(32 - by))) ^ total)


@inlined
def words(k0, k1, k2, k3, block, step):
    """Four uint32 of one counter; unrolled, so that the loop around it is vectorised."""
    k4 = U(U(PARITY) ^ k0 ^ k1 ^ k2 ^ k3)
    a, b, c, d = U(block + k0), U(step + k1), k2, k3
    a, b = mix(a, b, 10)
    c, d = mix(c, d, 26)
    a, d = mix(a, d, 11)
    c, b = mix(c, b, 21)
    a, b = mix(a, b, 13)
    c, d = mix(c, d, 27)
    a, d = mix(a, d, 23)
    c, b = mix(c, b, 5)
    a, b, c, d = U(a + k1), U(b + k2), U(c + k3), U(U(d + k4) + U(1))
    a, b = mix(a, b, 6)
    c, d = mix(c, d, 20)
    a, d = mix(a, d, 17)
    c, b = mix(c, b, 11)
    a, b = mix(a, b, 25)
    c, d = mix(c, d, 10)
    a, d = mix(a, d, 18)
    c, b = mix(c, b, 20)
    a, b, c, d = U(a + k2), U(b + k3), U(c + k4), U(U(d + k0) + U(2))
    a, b = mix(a, b, 10)
    c, d = mix(c, d, 26)
    a, d = mix(a, d, 11)
    c, b = mix(c, b, 21)
    a, b = mix(a, b, 13)
    c, d = mix(c, d, 27)
    a, d = mix(a, d, 23)
    c, b = mix(c, b, 5)
    return U(a + k3), U(b + k4), U(c + k0), U(U(d + k1) + U(3))


def words_on_device(keys: Tensor, first: int, blocks: int, step: int) -> Tensor:
    """(R, 4, blocks) int64 in [0, 2**32): the same words, by torch on any device.

    Args:
        keys: (R, 4) int64 in [0, 2**32).
        first: number of the first block.
        blocks: how many.
        step: the counter's second word.
    """
    k = [keys[:, i : i + 1] for i in range(4)]
    k.append(k[0] ^ k[1] ^ k[2] ^ k[3] ^ PARITY)
    counter = torch.arange(first, first + blocks, device=keys.device)
    x = [(counter + k[0]) & _MASK, ((step + k[1]) & _MASK).expand(-1, blocks), k[2], k[3]]
    for number in range(ROUNDS):
        near, far = (1, 3) if number % 2 == 0 else (3, 1)
        for left, right, by in zip((0, 2), (near, far), ROTATIONS[number % 8], strict=True):
            x[left] = (x[left] + x[right]) & _MASK
            turned = ((x[right] << by) | (x[right] >> (32 - by))) & _MASK
            x[right] = turned ^ x[left]
        if number % 4 == 3:  # noqa: PLR2004 - a part of the key after every fourth round
            turn = number // 4 + 1
            x = [(x[i] + k[(turn + i) % 5]) & _MASK for i in range(4)]
            x[3] = (x[3] + turn) & _MASK
    return torch.stack(x, 1)

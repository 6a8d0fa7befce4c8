"""The counter-based generator: published answers, and the same words compiled and in torch."""

import numpy as np
import pytest
import torch

from models.kernels import threefry
from models.kernels.compiler import kernel
from models.kernels.threefry import U, words, words_on_device


@kernel
def compiled(key, first, step, out):
    """The words of as many blocks as `out` (4, blocks) has room for."""
    for i in range(out.shape[1]):
        drawn = words(key[0], key[1], key[2], key[3], U(first + U(i)), step)
        for j in range(4):
            out[j, i] = drawn[j]


def on_device(key: list[int], first: int = 0, blocks: int = 1, step: int = 0) -> np.ndarray:
    return words_on_device(torch.tensor([key]), first, blocks, step)[0].numpy()


def reference(key: list[int], counter: list[int], rounds: int) -> list[int]:
    """Threefry-4x32 in Python integers, written from the paper's definition."""
    mask = 2**32 - 1
    schedule = [*key, key[0] ^ key[1] ^ key[2] ^ key[3] ^ 0x1BD11BDA]
    x = [(c + k) & mask for c, k in zip(counter, key, strict=True)]
    for number in range(rounds):
        pairs = ((0, 1), (2, 3)) if number % 2 == 0 else ((0, 3), (2, 1))
        for (left, right), by in zip(pairs, threefry.ROTATIONS[number % 8], strict=True):
            x[left] = (x[left] + x[right]) & mask
            x[right] = ((x[right] << by | x[right] >> (32 - by)) & mask) ^ x[left]
        if number % 4 == 3:
            turn = number // 4 + 1
            x = [(v + schedule[(turn + i) % 5]) & mask for i, v in enumerate(x)]
            x[3] = (x[3] + turn) & mask
    return x


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0, [0x9C6CA96A, 0xE17EAE66, 0xFC10ECD4, 0x5256A7D8]),
        (2**32 - 1, [0x2A881696, 0x57012287, 0xF6C7446E, 0xA16A6732]),
    ],
)
def test_the_definition_gives_the_published_answers_of_20_rounds(
    word: int, expected: list[int]
) -> None:
    """Known-answer vectors of Random123, threefry4x32 with 20 rounds."""
    assert reference([word] * 4, [word] * 4, 20) == expected


@pytest.mark.parametrize("step", [0, 1, 99, 2**31])
@pytest.mark.parametrize("first", [0, 7, 2**32 - 2])
def test_compiled_and_torch_words_are_those_of_the_definition(first: int, step: int) -> None:
    key = np.random.default_rng(step).integers(0, 2**32, 4, dtype=np.uint32)
    out = np.empty((4, 2), np.uint32)
    compiled(key, np.uint32(first), np.uint32(step), out)
    rounds = threefry.ROUNDS
    for i in range(2):
        right = reference(key.tolist(), [first + i, step, 0, 0], rounds)
        assert out[:, i].tolist() == right
        assert on_device(key.tolist(), first, 2, step)[:, i].tolist() == right


def test_every_bit_of_key_and_counter_moves_half_of_the_words_bits() -> None:
    """Avalanche: over many keys, each flipped input bit changes 64 of 128 bits, within 5 sigma."""
    keys = torch.from_numpy(np.random.default_rng(1).integers(0, 2**32, (400, 4)))
    plain = words_on_device(keys, 5, 1, 9)
    for part in range(4):
        for bit in range(0, 32, 5):
            changed = keys.clone()
            changed[:, part] ^= 1 << bit
            moved = (words_on_device(changed, 5, 1, 9) ^ plain).flatten().tolist()
            mean = sum(m.bit_count() for m in moved) / 400
            assert abs(mean - 64) < 5 * np.sqrt(128 / 4 / 400), (part, bit, mean)

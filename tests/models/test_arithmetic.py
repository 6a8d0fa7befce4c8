"""Binary arithmetic is exact at every size, and its split is a split."""

import itertools
import random

import numpy as np
import pytest

from models.neural_gpu import arithmetic
from models.neural_gpu.arithmetic import Task


def digits(value: int, bits: int) -> list[int]:
    """Least significant first."""
    return [(value >> i) & 1 for i in range(bits)]


def array(values: list[int], bits: int) -> np.ndarray:
    """(n, bits) digits."""
    return np.array([digits(v, bits) for v in values], np.uint8)


@pytest.mark.parametrize("bits", [1, 2, 3, 7, 8, 20, 31, 32, 33, 63, 64, 65, 128, 200, 400])
@pytest.mark.parametrize("task", ["binary_addition", "binary_multiplication"])
def test_answers_equal_pythons_integers(task: Task, bits: int) -> None:
    """Random operands and the extremes, where an int64 would wrap."""
    draw = random.Random(bits)
    top = 2**bits - 1
    a = [draw.randint(0, top) for _ in range(40)] + [0, 0, top, top]
    b = [draw.randint(0, top) for _ in range(40)] + [0, top, top, 1]
    found = arithmetic.result(task, array(a, bits), array(b, bits))
    width = arithmetic.answer_digits(task, bits)
    combine = int.__add__ if task == "binary_addition" else int.__mul__
    assert found.tolist() == [digits(combine(x, y), width) for x, y in zip(a, b, strict=True)]


def every_pair(bits: int) -> tuple[np.ndarray, np.ndarray]:
    """All ordered pairs."""
    pairs = list(itertools.product(range(2**bits), repeat=2))
    return array([p[0] for p in pairs], bits), array([p[1] for p in pairs], bits)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6])
def test_at_least_a_quarter_of_the_pairs_is_held_out_and_some_are_left(bits: int) -> None:
    held = arithmetic.is_test(*every_pair(bits))
    assert 0.25 <= held.mean() <= 0.45


def test_at_large_sizes_about_five_sixteenths_are_held_out() -> None:
    pairs = np.random.default_rng(0).integers(0, 2, (20_000, 2, 200), dtype=np.uint8)
    held = arithmetic.is_test(pairs[:, 0], pairs[:, 1])
    assert abs(held.mean() - 5 / 16) < 0.02


def test_the_split_knows_neither_order_nor_leading_zeros() -> None:
    a, b = every_pair(4)
    held = arithmetic.is_test(a, b)
    assert np.array_equal(held, arithmetic.is_test(b, a))
    wide = [np.pad(x, ((0, 0), (0, 9))) for x in (a, b)]
    assert np.array_equal(held, arithmetic.is_test(*wide))


@pytest.mark.parametrize("bits", [1, 2, 5, 40])
def test_draws_of_the_two_sides_are_disjoint(bits: int) -> None:
    sides = {}
    for side in ("train", "test"):
        a, b = arithmetic.draw(np.random.default_rng(1), 3000, bits, side)  # type: ignore[arg-type]
        sides[side] = {(x.tobytes(), y.tobytes()) for x, y in zip(a, b, strict=True)}
    assert sides["train"]
    assert sides["test"]
    assert not sides["train"] & sides["test"]


def test_draws_are_uniform_over_their_side() -> None:
    a, b = arithmetic.draw(np.random.default_rng(2), 40_000, 2, "train")
    values = (a + 2 * b)[:, 0] * 4 + (a + 2 * b)[:, 1]
    counts = np.bincount(values, minlength=16)
    expected = 40_000 / (counts > 0).sum()
    assert np.abs(counts[counts > 0] / expected - 1).max() < 0.1


def test_a_tape_reads_operands_and_answer_from_the_low_end() -> None:
    source, target = arithmetic.tape("binary_addition", array([3], 3), array([6], 3))
    assert source.tolist() == [[2, 2, 1, 3, 1, 2, 2]]
    assert target.tolist() == [[2, 1, 1, 2, 0, 0, 0]]  # 9 = 1001, then padding

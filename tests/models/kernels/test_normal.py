"""Noise is standard normal, the same law on every device, and each lane's own."""

import numpy as np
import pytest
import torch
from scipy import stats

from models.kernels.leaves import LeafList
from models.kernels.normal import add_normal, normal_on_device
from models.kernels.threefry import words_on_device

KEYS = np.random.default_rng(3).integers(0, 2**32, (3, 4), dtype=np.uint32)


def drawn(size: int, *, step: int = 0, keys: np.ndarray = KEYS) -> torch.Tensor:
    """(R, size) noise of standard deviation 1 added to zeros."""
    leaf = torch.zeros(len(keys), size)
    ones = torch.ones(len(keys))
    add_normal(LeafList({"w": leaf}), ones, ones, keys, step)
    return leaf


def test_the_numbers_are_standard_normal() -> None:
    """Moments within five standard errors, and Kolmogorov-Smirnov, of three million numbers."""
    x = drawn(1_000_000).double().flatten().numpy()
    n = x.size
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs((x**power).mean() - mean) < 5 * np.sqrt(variance / n), power
    assert stats.kstest(x, "norm").pvalue > 1e-4
    tail = (np.abs(x) > 4).sum()
    expected = n * 2 * stats.norm.sf(4)
    assert abs(tail - expected) < 5 * np.sqrt(expected)


def test_the_two_numbers_of_a_radius_are_independent() -> None:
    """Of a Box-Muller pair neither sign, size nor square of one tells of the other."""
    blocks = 250_000
    x = drawn(4 * blocks)[0].double().numpy().reshape(4, blocks)
    for f in (np.sign, np.abs, np.square, lambda v: v):
        correlation = np.corrcoef(f(x)) - np.eye(4)
        assert np.abs(correlation).max() < 5 / np.sqrt(blocks)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 50, 2500])
def test_compiled_noise_is_the_torch_formulas(size: int) -> None:
    blocks = -(-size // 4)
    words = words_on_device(torch.from_numpy(KEYS.astype(np.int64)), 0, blocks, 11)
    expected = normal_on_device(words)[:, :size]
    torch.testing.assert_close(drawn(size, step=11), expected, rtol=2e-6, atol=2e-6)


def test_gain_and_std_are_per_lane_and_a_lane_without_noise_keeps_its_bits() -> None:
    start = torch.tensor([[-0.0, 1.5, float("inf")]] * 3)
    leaf = start.clone()
    add_normal(
        LeafList({"w": leaf}), torch.tensor([1.0, 1.0, 0.5]), torch.tensor([0.0, 2.0, 0.0]), KEYS, 0
    )
    assert torch.equal(leaf[0].view(torch.int32), start[0].view(torch.int32))
    assert torch.equal(leaf[2, 1:], torch.tensor([0.75, float("inf")]))
    torch.testing.assert_close(leaf[1, :2], start[1, :2] + 2 * drawn(3)[1, :2])


def test_leaves_take_their_draws_one_after_another() -> None:
    """Two leaves of whole blocks hold the draws of different blocks: nothing is used twice."""
    leaves = {"a": torch.zeros(3, 400), "b": torch.zeros(3, 400)}
    ones = torch.ones(3)
    add_normal(LeafList(leaves), ones, ones, KEYS, 0)
    assert torch.equal(leaves["a"], drawn(400))
    assert not torch.isin(leaves["b"], leaves["a"]).any()


def test_a_lane_draws_the_same_whatever_lies_beside_it() -> None:
    alone = drawn(777, keys=KEYS[1:2])
    assert torch.equal(alone[0], drawn(777)[1])

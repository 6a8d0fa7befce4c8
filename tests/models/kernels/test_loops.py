"""Norms, additions, dropout and squashing: compiled loops against their formulas."""

import numpy as np
import pytest
import torch

from models.kernels.compiler import kernel
from models.kernels.dropout import keep_factors
from models.kernels.leaves import LeafList, add_scaled, squared_norm
from models.kernels.squash import sigmoid, tanh

KEYS = np.random.default_rng(3).integers(0, 2**32, (3, 4), dtype=np.uint32)


def some() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"b": torch.randn(3, 5), "a": torch.randn(3, 40, 7)}


def test_a_norm_is_each_lanes_own() -> None:
    leaves = some()
    expected = sum(v.double().flatten(1).square().sum(1) for v in leaves.values())
    torch.testing.assert_close(
        squared_norm(LeafList(leaves)), torch.as_tensor(expected), rtol=1e-6, atol=0
    )
    leaves["a"][1, 0, 0] = float("nan")
    assert torch.isfinite(squared_norm(LeafList(leaves))).tolist() == [True, False, True]


def test_an_update_is_added_with_each_lanes_gain() -> None:
    params, updates, gain = some(), some(), torch.tensor([0.0, -1.0, 0.5])
    add_scaled(LeafList(params), LeafList(updates), gain)
    for name, start in some().items():
        wide = gain.view(-1, *[1] * (start.ndim - 1))
        torch.testing.assert_close(params[name], start + wide * start)


@pytest.mark.parametrize("faulty", [torch.zeros(3, 4).double(), torch.zeros(4, 3).mT])
def test_a_leaf_that_kernels_would_misread_is_refused(faulty: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="contiguous float32"):
        LeafList({"w": faulty})


def test_dropout_keeps_the_share_that_it_says_and_is_each_lanes_own() -> None:
    count = 100_001
    out = torch.empty(3, count)
    keep = np.array([0.9, 1.0, 0.25])
    keep_factors(keep, KEYS, 4, out)
    assert torch.equal(out[1], torch.ones(count))
    for lane in (0, 2):
        assert set(out[lane].unique().tolist()) == {0.0, float(np.float32(1 / keep[lane]))}
        kept = (out[lane] > 0).float().mean().item()
        assert abs(kept - keep[lane]) < 5 * np.sqrt(keep[lane] * (1 - keep[lane]) / count)
    alone = torch.empty(1, count)
    keep_factors(keep[2:], KEYS[2:], 4, alone)
    assert torch.equal(alone[0], out[2])


@kernel
def squashed(x, t, s):
    """Both functions of every number."""
    for i in range(x.size):
        t[i], s[i] = tanh(x[i]), sigmoid(x[i])


def test_squashing_functions_are_right_to_a_few_units_in_the_last_place() -> None:
    x = np.concatenate([np.linspace(-60, 60, 400_001), np.geomspace(1e-30, 1, 1000)])
    x = x.astype(np.float32)
    t, s = np.empty_like(x), np.empty_like(x)
    squashed(x, t, s)
    exact = np.tanh(x.astype(np.float64))
    assert np.abs(t - exact).max() < 2e-7
    assert np.nanmax(np.abs(t / np.where(exact == 0, np.nan, exact) - 1)) < 5e-7
    assert np.abs(s - 1 / (1 + np.exp(-x.astype(np.float64)))).max() < 2e-7
    odd = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    t, s = np.empty_like(odd), np.empty_like(odd)
    squashed(odd, t, s)
    assert np.isnan([t[0], s[0]]).all()
    assert t[1:].tolist() == [1, -1, 0]
    np.testing.assert_allclose(s[1:], [1, 0, 0.5], atol=1e-16)

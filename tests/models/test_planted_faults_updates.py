"""The laws of update rules can fail: each fault, planted in a rule, is caught by its law."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.kernels.leaves import LeafList
from models.updates import noise
from models.updates.chain import wide
from models.updates.noise import add_noise
from tests.models.test_updates import check_untouched, check_variance


def unmasked(leaves: LeafList, gain: Tensor, std: Tensor, _keys: np.ndarray, _step: int) -> None:
    """Noise for every lane, of scale zero where a lane has none: no mask."""
    for leaf in leaves.tensors:
        leaf.mul_(wide(gain, leaf)).add_(wide(std, leaf) * torch.ones_like(leaf))


def test_adding_zero_times_noise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """It turns -0.0 into 0.0 in a lane that should not be touched."""
    monkeypatch.setattr(noise, "add_normal", unmasked)
    with pytest.raises(AssertionError, match=r"the lane without noise became \[0\.0, 1\.5\]"):
        check_untouched(add_noise())


def test_a_noise_law_that_uses_the_variance_as_std_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faulty(eta: float, gamma: float, steps: np.ndarray) -> np.ndarray:
        return np.asarray(eta / (1.0 + steps) ** gamma)

    monkeypatch.setattr(noise, "noise_std", faulty)
    with pytest.raises(AssertionError, match=r"variance 0\.000\d+, not 0\.0238"):
        check_variance(0.3, 0.55, 99)

"""The laws of update rules can fail: each fault, planted in a rule, is caught by its law."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.program import Lanes
from models.updates import noise
from models.updates.chain import Transformation
from models.updates.noise import add_noise
from tests.models.test_updates import check_untouched, check_variance


def zero_times_noise() -> Transformation:
    """Noise for every lane, of a scale that is zero in float32 where a lane has none: no mask."""
    sound = add_noise()

    def prepare(lanes: Lanes) -> Any:
        etas = np.maximum(lanes.values["noise_eta"], 1e-300)
        return sound.prepare(replace(lanes, values={**lanes.values, "noise_eta": etas}))

    return Transformation(sound.init, prepare, sound.update)


def test_adding_zero_times_noise_is_caught() -> None:
    """It turns -0.0 into 0.0 in a lane that should not be touched."""
    with pytest.raises(AssertionError, match=r"the lane without noise became \[0\.0, 1\.5\]"):
        check_untouched(zero_times_noise())


def test_a_noise_law_that_uses_the_variance_as_std_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faulty(eta: float, gamma: float, steps: np.ndarray) -> np.ndarray:
        return np.asarray(eta / (1.0 + steps) ** gamma)

    monkeypatch.setattr(noise, "noise_std", faulty)
    with pytest.raises(AssertionError, match=r"variance 0\.000\d+, not 0\.0238"):
        check_variance(0.3, 0.55, 99)

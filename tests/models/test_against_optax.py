"""The paper's law is optax's, in distribution; every variant is told from it."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from models.updates.settings import NoiseLaw
from tests.models.lanes import lanes
from tests.models.test_noise_laws import ETA, GAMMA, STDS, VALUES, T, noise

COUNT = 40_000


@pytest.fixture(scope="module")
def theirs() -> np.ndarray:
    """What optax adds to gradients of zero at its step T, counted from 0."""
    rule = optax.add_noise(ETA, GAMMA, key=jax.random.key(0))
    zeros = {"w": jnp.zeros(COUNT)}
    state = rule.init(zeros)
    for _ in range(T):
        _, state = rule.update(zeros, state)
    return np.asarray(rule.update(zeros, state)[0]["w"], np.float64)


def ours(law: NoiseLaw) -> np.ndarray:
    """The same under a law of ours."""
    return noise(law, lanes(1, VALUES), COUNT).double().numpy()[0]


def test_the_papers_law_is_optaxs(theirs: np.ndarray) -> None:
    found = ours("annealed")
    assert stats.ks_2samp(found, theirs).pvalue > 1e-4
    assert abs(found.std() / theirs.std() - 1) < 5 * np.sqrt(1 / COUNT)


@pytest.mark.parametrize("law", sorted(set(STDS) - {"annealed", "before_clip"}))
def test_a_variant_is_not_optaxs(theirs: np.ndarray, law: NoiseLaw) -> None:
    assert stats.ks_2samp(ours(law), theirs).pvalue < 1e-6


def test_every_law_is_measured_here_or_acts_elsewhere() -> None:
    """The sign of noisy gradients and the late perturbation add nothing to gradients."""
    assert set(get_args(NoiseLaw)) - set(STDS) == {"dithered_sign", "late_init"}

"""Every law of noise, by its own formula, and each told apart from the paper's."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from models.kernels.leaves import LeafList
from models.kernels.threefry import words_on_device
from models.kernels.truncated import add_truncated, truncated_on_device
from models.program import Lanes
from models.updates.chain import Leaves, Step, Updates
from models.updates.noise import add_noise, late_std
from models.updates.norm import global_norm
from models.updates.rule import update_rule
from models.updates.settings import NoiseLaw, UpdateSettings
from tests.models.lanes import lanes
from tests.models.lifting.mlp import MLP as LIFTED

COUNT = 40_000
ETA, GAMMA, T, RATE = 0.3, 0.55, 7, 0.05
SIGMA = math.sqrt(ETA / (1 + T) ** GAMMA)
CUT = stats.truncnorm(-2, 2).std()
#: law -> standard deviation of what is added to a gradient at step T, at training error 0.5
STDS: dict[NoiseLaw, float] = {
    "annealed": SIGMA,
    "fixed": math.sqrt(ETA),
    "before_clip": SIGMA,
    "truncated": SIGMA * CUT,
    "error_scaled": SIGMA * CUT * math.sqrt(0.5 - 0.02),
    "variance_as_std": SIGMA**2,
    "sgld": math.sqrt(2 * ETA / RATE),
}
VALUES = {
    "learning_rate": RATE,
    "momentum": 0.0,
    "noise_eta": ETA,
    "noise_gamma": GAMMA,
    "clip_norm": 1.0,
    "late_step": 3.0,
    "late_span": 100.0,
}


def noise(law: NoiseLaw, view: Lanes, count: int = COUNT, error: float = 0.5) -> torch.Tensor:
    """(R, count) of what a law adds to gradients of zero at step T of the first segment."""
    leaves = LeafList({"w": torch.zeros(len(view), count)})
    ones = torch.ones(len(view))
    rule = add_noise(law).begin(view, {})
    found = rule(Updates(leaves, ones), Step(T, global_norm(leaves), error * ones))
    return found.leaves.tensors[0]


def steps(settings: UpdateSettings, grads: Leaves, values: dict[str, float]) -> list[torch.Tensor]:
    """What ten steps of equal gradients add to weights "w" of one lane."""
    rule = update_rule(settings)
    at_work = rule.begin(lanes(1, values), rule.init(grads))
    found = []
    for index in range(10):
        leaves = LeafList({k: v.clone() for k, v in grads.items()})
        updates = at_work(Updates(leaves, torch.ones(1)), Step(index, global_norm(leaves)))
        found.append(updates.settled().leaves.tensors[0].clone())
    return found


@pytest.mark.parametrize("law", STDS)
def test_a_law_has_its_standard_deviation(law: NoiseLaw) -> None:
    drawn = noise(law, lanes(1, VALUES)).double()
    assert abs(drawn.std().item() / STDS[law] - 1) < 5 * math.sqrt(0.5 / COUNT)
    assert abs(drawn.mean().item()) < 5 * STDS[law] / math.sqrt(COUNT)


@pytest.mark.parametrize("law", STDS)
def test_a_law_has_its_shape(law: NoiseLaw) -> None:
    drawn = noise(law, lanes(1, VALUES)).double().numpy()[0]
    uncut = STDS[law]
    cut = law in ("truncated", "error_scaled")
    shape = stats.truncnorm(-2, 2, scale=uncut / CUT) if cut else stats.norm(scale=uncut)
    assert stats.kstest(drawn, shape.cdf).pvalue > 1e-4


@pytest.mark.parametrize("law", [law for law in STDS if law not in ("annealed", "before_clip")])
def test_a_variant_is_told_from_the_papers_law(law: NoiseLaw) -> None:
    drawn = noise(law, lanes(1, VALUES)).double().numpy()[0]
    assert stats.kstest(drawn, stats.norm(scale=SIGMA).cdf).pvalue < 1e-6


@pytest.mark.parametrize("law", STDS)
def test_a_lane_without_noise_is_untouched_and_the_others_draw_as_alone(law: NoiseLaw) -> None:
    etas = [ETA, 0.0, ETA]
    found = noise(law, lanes(3, VALUES | {"noise_eta": etas}), 50)
    assert torch.equal(found[1], torch.zeros(50))
    alone = noise(law, lanes(1, VALUES), 50)
    assert torch.equal(found[0], alone[0])
    assert not torch.isin(found[0], found[2]).any()


def test_noise_by_error_ends_where_the_error_does() -> None:
    assert torch.equal(noise("error_scaled", lanes(1, VALUES), error=0.02), torch.zeros(1, COUNT))


def test_noise_before_clipping_is_clipped_with_the_gradient() -> None:
    grads = {"w": torch.full((1, 1000), 5.0)}
    before, after = (
        steps(UpdateSettings(clip="norm", noise=law), grads, VALUES)[0].norm() / RATE
        for law in ("before_clip", "annealed")
    )
    assert abs(before - 1.0) < 1e-5
    assert after > 10


def test_the_sign_is_of_the_noisy_gradient() -> None:
    """Phi(g / sigma) of the signs are positive, and without noise all are the gradient's."""
    g = 0.2
    signs = UpdateSettings(noise="dithered_sign")
    grads = {"w": torch.full((1, COUNT), g)}
    found = -steps(signs, grads, VALUES)[T] / RATE
    torch.testing.assert_close(found.abs(), torch.ones(1, COUNT))
    share = (found > 0).double().mean().item()
    assert abs(share - stats.norm.cdf(g / SIGMA)) < 5 * math.sqrt(0.25 / COUNT)
    plain = -steps(signs, grads, VALUES | {"noise_eta": 0.0})[T] / RATE
    torch.testing.assert_close(plain, torch.ones(1, COUNT))


def test_a_late_init_moves_the_weights_once_and_as_far_as_noise_would() -> None:
    grads = {"w": torch.full((1, COUNT), 0.1)}
    found = steps(UpdateSettings(noise="late_init"), grads, VALUES)
    for index, update in enumerate(found):
        rest = update + RATE * 0.1
        if index != VALUES["late_step"]:
            assert rest.abs().max() < 1e-8
            continue
        assert abs(rest.std().item() / late_std("constant", VALUES) - 1) < 5 * math.sqrt(
            0.5 / COUNT
        )
    walked = sum(
        steps(UpdateSettings(), {"w": torch.zeros(1, COUNT)}, VALUES), torch.zeros(1, COUNT)
    )
    ten = late_std("constant", VALUES | {"late_span": 10.0})
    assert abs(walked.std().item() / ten - 1) < 5 * math.sqrt(0.5 / COUNT)


def test_the_walk_of_the_paper_sheet_is_met() -> None:
    """Rate 0.1, eta 0.01: 0.069 after 1,000 steps, 0.118 after 10,000 and 0.170 after 50,000."""
    values = {"learning_rate": 0.1, "noise_eta": 0.01, "noise_gamma": 0.55}
    spans = {1_000.0: 0.069, 10_000.0: 0.118, 50_000.0: 0.170}
    for span, expected in spans.items():
        assert abs(late_std("constant", values | {"late_span": span}) - expected) < 6e-4


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 50, 2500])
def test_compiled_truncated_noise_is_the_torch_formula(size: int) -> None:
    keys = np.random.default_rng(3).integers(0, 2**32, (3, 4), dtype=np.uint32)
    leaf, ones = torch.zeros(3, size), torch.ones(3)
    add_truncated(LeafList({"w": leaf}), ones, ones, keys, 11)
    words = words_on_device(torch.from_numpy(keys.astype(np.int64)), 0, -(-size // 4), 11)
    expected = truncated_on_device(words.flatten(1)[:, :size])
    torch.testing.assert_close(leaf, expected, rtol=4e-6, atol=4e-6)
    assert leaf.abs().max() <= 2.0 + 1e-6


CONFLICTS: list[tuple[dict[str, object], str]] = [
    ({"optimiser": "adam", "momentum": 0.9}, "momentum 0.9 is read only with optimiser sgd or"),
    ({"optimiser": "sgd", "beta1": 0.5}, "beta1 0.5 is read only with optimiser adam or"),
    ({"weight_decay": 0.1}, "weight_decay 0.1 is read only with optimiser adamw"),
    ({"schedule_steps": 10.0}, "schedule_steps 10.0 is read only with schedule halving or"),
    ({"clip_norm": 1.0}, "clip_norm 1.0 is read only with clip norm or tensor or value"),
    ({"late_span": 10.0}, "late_span 10.0 is read only with noise late_init"),
    ({"optimiser": "adam", "noise": "sgld"}, "noise sgld is as large as plain gradient descent"),
    ({"momentum": 0.5, "noise": "late_init"}, "is sgd with momentum 0.5"),
    ({"noise": "late_init", "late_step": 500.0}, "late_step 500 is not reached within 500 steps"),
    ({"noise": "fixed", "noise_gamma": 1.0}, "noise_gamma 1.0 is read only with noise annealed or"),
    ({"noise": "before_clip"}, "where nothing is clipped"),
]


@pytest.mark.parametrize(("values", "why"), CONFLICTS)
def test_what_would_not_be_read_is_a_conflict(values: dict[str, object], why: str) -> None:
    [(rule, cure)] = UpdateSettings.model_validate(values).conflicts(500)
    assert why in rule
    assert cure


@pytest.mark.parametrize("values", [{"noise_eta": -1.0}, {"noise": "loud"}, {"beta1": 1.0}])
def test_values_outside_their_domain_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        UpdateSettings.model_validate(values)


def test_defaults_are_in_no_conflict_and_a_lifted_network_has_no_error_to_scale_by() -> None:
    assert UpdateSettings().conflicts(100) == []
    scaled = UpdateSettings(noise="error_scaled")
    assert scaled.conflicts(100) == []
    [(rule, _)] = LIFTED.conflicts(scaled, 100)
    assert "a lifted network has none" in rule

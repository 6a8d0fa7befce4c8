"""Update rules obey their laws, lane by lane."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from models.kernels.leaves import LeafList
from models.program import Lanes
from models.updates import rule as rules
from models.updates.chain import Leaves, Rule, Step, Transformation, Updates, chain
from models.updates.clip import clip_by_global_norm, clip_by_tensor_norm, clip_by_value
from models.updates.noise import add_noise, noise_std
from models.updates.norm import global_norm
from models.updates.settings import Optimiser, Schedule
from tests.models.lanes import lanes


def begin(rule: Transformation, grads: Leaves, view: Lanes) -> Rule:
    """A rule at the start of a segment, with fresh state."""
    return rule.begin(view, rule.init(grads))


def once(rule: Rule, grads: Leaves, index: int = 0) -> Leaves:
    """One update, with its gain multiplied in."""
    leaves = LeafList({k: v.clone() for k, v in grads.items()})
    lanes = leaves.lanes
    found = rule(Updates(leaves, torch.ones(lanes)), Step(index, global_norm(leaves)))
    if (found.gain != 1).any():
        found = replace(found, mine=False).settled()
    return dict(zip(sorted(grads), found.leaves.tensors, strict=True))


def apply(rule: Transformation, grads: Leaves, view: Lanes, index: int = 0) -> Leaves:
    """One update of fresh state."""
    return once(begin(rule, grads, view), grads, index)


NOISE = {"noise_eta": 1.0, "noise_gamma": 0.55}


@pytest.mark.parametrize("eta", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 0.55, 1.0])
@pytest.mark.parametrize("t", [0, 9, 99, 9_999])
def test_noise_has_the_variance_of_the_law(eta: float, gamma: float, t: int) -> None:
    check_variance(eta, gamma, t)


def check_variance(eta: float, gamma: float, t: int) -> None:
    """Measured variance is eta / (1 + t)^gamma within five standard errors."""
    count = 40_000
    start = t // 10 * 10
    view = lanes(1, {"noise_eta": eta, "noise_gamma": gamma}, start=start)
    drawn = apply(add_noise(), {"w": torch.zeros(1, count)}, view, t - start)["w"].double()
    expected, found = eta / (1 + t) ** gamma, drawn.var().item()
    assert abs(found / expected - 1) < 5 * np.sqrt(2 / count), f"variance {found}, not {expected}"
    assert abs(drawn.mean().item()) < 5 * np.sqrt(expected / count)


def test_the_table_of_the_paper_sheet_is_met() -> None:
    std = noise_std(1.0, 0.55, np.array([0, 9, 99, 999, 9_999, 49_999, 99_999]))
    np.testing.assert_allclose(std, [1.0, 0.531, 0.282, 0.150, 0.0794, 0.0510, 0.0422], rtol=3e-3)


def test_noise_is_independent_between_lanes_steps_and_leaves() -> None:
    zeros = {"a": torch.zeros(2, 5000), "b": torch.zeros(2, 5000)}
    rule = begin(add_noise(), zeros, lanes(2, NOISE))
    drawn = [once(rule, zeros, i)[k] for i in (0, 1) for k in ("a", "b")]
    rows = torch.cat(drawn)  # 8 rows that must not correlate
    correlation = torch.corrcoef(rows) - torch.eye(8)
    assert correlation.abs().max() < 0.08


def test_a_lane_without_noise_passes_bit_for_bit() -> None:
    check_untouched(add_noise())


def check_untouched(rule: Transformation) -> None:
    """Beside a noisy lane a plain one keeps even -0.0, and a neighbour's NaN does not spread."""
    grads = {"w": torch.tensor([[-0.0, 1.5], [float("nan"), 2.0]])}
    view = lanes(2, {"noise_eta": [0.0, 1.0], "noise_gamma": 0.55})
    found = apply(rule, grads, view)["w"]
    bits, before = found[0].view(torch.int32).tolist(), grads["w"][0].view(torch.int32).tolist()
    assert bits == before, f"the lane without noise became {found[0].tolist()}"
    assert torch.isnan(found[1, 0])
    assert torch.isfinite(found[1, 1])


def test_noise_comes_after_clipping() -> None:
    """Of a clipped gradient the norm is below the limit, of clipped and noised it is not."""
    rule = chain(clip_by_global_norm(), add_noise())
    view = lanes(1, NOISE | {"clip_norm": 1e-3})
    found = apply(rule, {"w": torch.full((1, 1000), 5.0)}, view)["w"]
    assert found.norm() > 20


def test_clipping_is_by_each_lanes_own_norm() -> None:
    grads = {"a": torch.tensor([[3.0], [300.0]]), "b": torch.tensor([[4.0], [400.0]])}
    found = apply(clip_by_global_norm(), grads, lanes(2, {"clip_norm": 5.0}))
    torch.testing.assert_close(found["a"], torch.tensor([[3.0], [3.0]]))
    torch.testing.assert_close(found["b"], torch.tensor([[4.0], [4.0]]))


def test_clipping_by_value_clamps_each_coordinate() -> None:
    found = apply(clip_by_value(), {"w": torch.tensor([[-9.0, 0.5]])}, lanes(1, {"clip_norm": 1.0}))
    torch.testing.assert_close(found["w"], torch.tensor([[-1.0, 0.5]]))


def test_clipping_by_tensor_is_by_each_tensors_own_norm_in_each_lane() -> None:
    grads = {"a": torch.tensor([[3.0, 4.0], [0.3, 0.4]]), "b": torch.tensor([[0.6], [60.0]])}
    found = apply(clip_by_tensor_norm(), grads, lanes(2, {"clip_norm": 1.0}))
    torch.testing.assert_close(found["a"], torch.tensor([[0.6, 0.8], [0.3, 0.4]]))
    torch.testing.assert_close(found["b"], torch.tensor([[0.6], [1.0]]))


def test_no_gradient_stays_no_gradient() -> None:
    found = apply(clip_by_global_norm(), {"w": torch.zeros(1, 3)}, lanes(1, {"clip_norm": 1.0}))
    assert torch.equal(found["w"], torch.zeros(1, 3))


TORCH: dict[str, Any] = {
    "sgd": lambda p, v: torch.optim.SGD(p, v["learning_rate"], v["momentum"]),
    "nesterov": lambda p, v: torch.optim.SGD(p, v["learning_rate"], v["momentum"], nesterov=True),
    "rmsprop": lambda p, v: torch.optim.RMSprop(
        p, v["learning_rate"], v["rms_decay"], v["adam_eps"], momentum=v["momentum"]
    ),
    "adam": lambda p, v: torch.optim.Adam(p, v["learning_rate"], betas(v), v["adam_eps"]),
    "adamax": lambda p, v: torch.optim.Adamax(p, v["learning_rate"], betas(v), v["adam_eps"]),
    "adamw": lambda p, v: torch.optim.AdamW(
        p, v["learning_rate"], betas(v), v["adam_eps"], v["weight_decay"]
    ),
}
SCHEDULES: dict[str, Any] = {
    "constant": lambda o, _: lr_scheduler.ConstantLR(o, factor=1.0),
    "halving": lambda o, n: lr_scheduler.StepLR(o, n, gamma=0.5),
    "warmup": lambda o, n: lr_scheduler.LinearLR(o, 1 / n, 1.0, n - 1),
    "cosine": lr_scheduler.CosineAnnealingLR,
}
#: optimiser, schedule, and values that are not usual: a newcomer adds a row
OPTIMISERS: list[tuple[Optimiser, Schedule, dict[str, float]]] = [
    ("sgd", "constant", {}),
    ("sgd", "constant", {"momentum": 0.9}),
    ("nesterov", "constant", {"momentum": 0.9}),
    ("rmsprop", "constant", {}),
    ("rmsprop", "constant", {"momentum": 0.5, "rms_decay": 0.9}),
    ("adam", "constant", {}),
    ("adam", "constant", {"adam_eps": 1e-2, "beta1": 0.5, "beta2": 0.9}),
    ("adamax", "constant", {"beta2": 0.9}),
    ("adamw", "constant", {"weight_decay": 0.3}),
    *((name, "cosine", {"momentum": 0.9}) for name in get_args(Optimiser)),
    *(("sgd", name, {}) for name in get_args(Schedule)[1:]),
]
USUAL = {
    "learning_rate": 0.05,
    "schedule_steps": 30.0,
    "momentum": 0.0,
    "beta1": 0.9,
    "beta2": 0.999,
    "adam_eps": 1e-8,
    "rms_decay": 0.99,
    "weight_decay": 0.01,
}


def betas(values: dict[str, float]) -> tuple[float, float]:
    """Those of adam and its kin."""
    return values["beta1"], values["beta2"]


@pytest.mark.parametrize(("name", "schedule", "changes"), OPTIMISERS, ids=str)
def test_an_optimiser_equals_torchs_step_for_step(
    name: Optimiser, schedule: Schedule, changes: dict[str, float]
) -> None:
    """Over three segments, so that the step count must survive boundaries."""
    rule, values = rules.OPTIMISERS[name](schedule), USUAL | changes
    torch.manual_seed(0)
    ours = {"w": torch.randn(1, 4, 3), "b": torch.randn(1, 3)}
    theirs = {k: v[0].clone().requires_grad_() for k, v in ours.items()}
    optimiser = TORCH[name](list(theirs.values()), values)
    scheduler = SCHEDULES[schedule](optimiser, int(values["schedule_steps"]))
    state = rule.init(ours)
    for segment in range(3):
        step_of = rule.begin(lanes(1, values, start=segment * 10), state)
        for index in range(10):
            grads = {k: torch.randn_like(v) for k, v in ours.items()}
            for key, parameter in theirs.items():
                parameter.grad = grads[key][0].clone()
            optimiser.step()
            scheduler.step()
            ours = moved(step_of, ours, grads, index)
            for key in ours:
                torch.testing.assert_close(ours[key][0], theirs[key].data, rtol=4e-6, atol=4e-7)


def moved(rule: Rule, params: Leaves, grads: Leaves, index: int) -> Leaves:
    """Parameters after an update, as the pack engine applies it."""
    leaves = LeafList({k: v.clone() for k, v in grads.items()})
    found = rule(Updates(leaves, torch.ones(leaves.lanes)), Step(index, global_norm(leaves)))
    kept = params if found.keep is None else {k: v * found.keep for k, v in params.items()}
    added = replace(found, mine=False).settled().leaves
    return {k: kept[k] + u for k, u in zip(sorted(params), added.tensors, strict=True)}

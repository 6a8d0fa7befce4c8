"""The pack law: a trial is the same bits alone, in any pack, in any lane, beside any neighbours."""

from typing import get_args

import pytest

from models.updates.settings import NoiseLaw, Optimiser, Schedule
from tests.laws import Case, check_pack_law
from workers.messages import PackSpec

OPTIMISERS, SCHEDULES, LAWS = get_args(Optimiser), get_args(Schedule), get_args(NoiseLaw)
UPDATE = {
    "noise_eta": 0.01,
    "noise_gamma": 0.55,
    "late_step": 5.0,
    "late_span": 50.0,
    "clip_norm": 1.0,
    "momentum": 0.5,
    "beta1": 0.9,
    "beta2": 0.999,
    "rms_decay": 0.9,
    "weight_decay": 0.1,
    "schedule_steps": 6.0,
}
MLP_VALUES = UPDATE | {
    "learning_rate": 0.01,
    "adam_eps": 1e-8,
    "init_std": 0.2,
    "dropout": 0.1,
}
#: weights that overflow at once, and an update that makes them
WILD_MLP = ({"init_std": 100.0, "learning_rate": 1e30}, {"learning_rate": 1e30})


def deep_mlp(name: str, segment: int = 4, **shared: object) -> Case:
    """A small MLP for three segments, evaluated at each boundary."""
    settings = {"depth": 4, "width": 20, "batch": 8, "optimiser": "adam", "clip": "norm"} | shared
    spec = PackSpec("deep_mlp", settings, segment, 3 * segment, evaluate_every=1, expensive="end")
    return Case(f"deep_mlp {name}", spec, "test_loss", MLP_VALUES, WILD_MLP)


GPU_VALUES = UPDATE | {
    "learning_rate": 0.01,
    "adam_eps": 1e-4,
    "init_weight": 1.0,
    "dropout": 0.1,
    "curriculum_bound": 1.0,
    "relaxation_pull": 0.1,
    "relaxation_growth": 1.5,
}
WILD_GPU = ({"init_weight": 1e30}, {"learning_rate": 1e30})


def neural_gpu(name: str, **shared: object) -> Case:
    """A Neural GPU for three segments of two steps, all its lanes in one tensor program.

    36 examples are more than the program evaluates at once (32).
    """
    settings = {
        "bits": 2,
        "start_bits": 2,
        "maps": 8,
        "batch": 4,
        "eval_examples": 36,
        "beyond": (3,),
    } | shared
    spec = PackSpec("neural_gpu", settings, segment=2, steps=6, evaluate_every=1, expensive="end")
    metric = f"digit_error@{settings['bits']}"
    return Case(f"neural_gpu {name}", spec, metric, GPU_VALUES, WILD_GPU)


CASES = [
    deep_mlp("adam"),
    deep_mlp("sgd", optimiser="sgd"),
    deep_mlp("odd sizes", width=13, batch=5, depth=3),
    deep_mlp("by value", clip="value"),
    deep_mlp("full size", segment=2, depth=20, width=50, batch=32),
    deep_mlp("by tensor", clip="tensor"),
    *(deep_mlp(name, optimiser=name) for name in OPTIMISERS if name not in ("adam", "sgd")),
    *(deep_mlp(f"{name} sgd", optimiser="sgd", schedule=name) for name in SCHEDULES[1:]),
    *(deep_mlp(f"{law} noise", optimiser="sgd", noise=law) for law in LAWS[1:]),
    neural_gpu("8 maps"),
    neural_gpu("duplicate", task="duplicate"),
    neural_gpu("error-scaled noise", noise="error_scaled", optimiser="adamax"),
    neural_gpu("12 maps", maps=12, batch=3),
    neural_gpu("24 maps", maps=24, batch=2),
    neural_gpu("mixed lengths", lengths="mixed", bits=4, start_bits=2, beyond=(5,)),
    # with this pull a lane whose bound is met has its sets averaged at once
    neural_gpu("relaxation", relaxation=5, maps=6),
    # with this bound lanes change level, so that a pack's lanes part and meet again
    neural_gpu("curriculum", task="binary_multiplication", bits=3, start_bits=1, beyond=(4,)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_trial_is_the_same_bits_alone_and_in_any_pack(case: Case) -> None:
    check_pack_law(case)

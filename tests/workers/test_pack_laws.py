"""The pack law: a trial is the same bits alone, in any pack, in any lane, beside any neighbours."""

import pytest

from tests.laws import Case, check_pack_law
from workers.messages import PackSpec

UPDATE = {"noise_eta": 0.01, "noise_gamma": 0.55, "clip_norm": 1.0, "momentum": 0.0}
MLP_VALUES = UPDATE | {
    "learning_rate": 0.01,
    "adam_eps": 1e-8,
    "init_std": 0.2,
    "dropout": 0.1,
}


def deep_mlp(name: str, **shared: object) -> Case:
    """A small MLP for three segments of six steps, evaluated at each boundary."""
    settings = {"depth": 4, "width": 20, "batch": 8, "optimiser": "adam", "clip": "norm"} | shared
    spec = PackSpec("deep_mlp", settings, segment=6, steps=18, evaluate_every=1, expensive="end")
    wild = {"init_std": 100.0, "learning_rate": 1e30}
    return Case(f"deep_mlp {name}", spec, MLP_VALUES, wild)


GPU_VALUES = UPDATE | {
    "learning_rate": 0.01,
    "adam_eps": 1e-4,
    "init_weight": 1.0,
    "dropout": 0.1,
    "curriculum_bound": 1.0,
}


def neural_gpu(name: str, **shared: object) -> Case:
    """A Neural GPU for three segments of three steps; with this bound lanes change level."""
    settings = {"bits": 3, "maps": 8, "batch": 4, "eval_examples": 8, "beyond": (5,)} | shared
    spec = PackSpec("neural_gpu", settings, segment=3, steps=9, evaluate_every=1, expensive="every")
    return Case(f"neural_gpu {name}", spec, GPU_VALUES, {"init_weight": 1e30})


CASES = [
    deep_mlp("adam"),
    deep_mlp("sgd", optimiser="sgd"),
    deep_mlp("odd sizes", width=13, batch=5, depth=3),
    deep_mlp("by value", clip="value"),
    deep_mlp("full size", depth=20, width=50, batch=32),
    neural_gpu("8 maps"),
    neural_gpu("12 maps", maps=12, batch=3),
    neural_gpu("24 maps", maps=24, batch=2),
    neural_gpu("multiplication", task="binary_multiplication", batch=5),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_trial_is_the_same_bits_alone_and_in_any_pack(case: Case) -> None:
    check_pack_law(case)

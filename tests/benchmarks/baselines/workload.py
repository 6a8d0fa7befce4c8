"""What is trained, said once: every baseline and the engine read the same workload."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from models.deep_mlp.digits import digits5k
from models.neural_gpu import arithmetic

#: training steps from evaluation to evaluation, over which its cost is spread
EVALUATE_EVERY = 500
EVAL_EXAMPLES = 128


@dataclass(frozen=True)
class Workload:
    """One thing to train.

    Attributes:
        name: what the bench calls it.
        experiment: its name in the catalogue.
        shared: the structure, as the engine takes it.
        values: per-lane hyper-parameters, as the engine takes them.
    """

    name: str
    experiment: str
    shared: Mapping[str, Any]
    values: Mapping[str, float]

    def but(self, **changes: Any) -> "Workload":
        """The same workload with other hyper-parameters."""
        shared = {k: changes.get(k, v) for k, v in self.shared.items()}
        values = {k: changes.get(k, v) for k, v in self.values.items()}
        unknown = changes.keys() - shared.keys() - values.keys()
        if unknown:
            raise KeyError(
                f"{self.name} has no {', '.join(sorted(unknown))}; it has {sorted(shared | values)}"
            )
        return replace(self, shared=shared, values=values)


@dataclass(frozen=True)
class Tables:
    """Every example that can be drawn; a batch is so many rows, drawn with replacement.

    Attributes:
        inputs: (n, 784) float32 pixels, or (n, length) int64 symbols.
        targets: (n,) int64 labels, or (n, length) int64 symbols, 0 where nothing is asked.
        test_inputs, test_targets: what an evaluation reads, whole.
    """

    inputs: np.ndarray
    targets: np.ndarray
    test_inputs: np.ndarray
    test_targets: np.ndarray


def deep_mlp(*, noise: bool = True) -> Workload:
    """The paper's 20-layer MLP on real digits."""
    shared = {
        "depth": 20, "width": 50, "batch": 32, "init": "simple", "optimiser": "sgd", "clip": "norm",
    }  # fmt: skip
    values = {
        "init_std": 0.1, "learning_rate": 0.1, "momentum": 0.0, "adam_eps": 1e-8, "clip_norm": 10.0,
        "noise_eta": 0.01 if noise else 0.0, "noise_gamma": 0.55, "dropout": 0.0,
    }  # fmt: skip
    name = "deep_mlp, noise" if noise else "deep_mlp, no noise"
    return Workload(name, "deep_mlp", shared, values)


def neural_gpu(maps: int) -> Workload:
    """A small Neural GPU on 4-bit addition, a tape of 9 symbols, without a curriculum."""
    shared = {
        "task": "binary_addition", "bits": 4, "start_bits": 4, "maps": maps, "width": 4,
        "layers": 2, "batch": 16, "optimiser": "adam", "clip": "norm", "gate_cutoff": 1.2,
        "eval_examples": EVAL_EXAMPLES, "beyond": (),
    }  # fmt: skip
    values = {
        "init_weight": 1.0, "learning_rate": 0.005, "momentum": 0.0, "adam_eps": 1e-4,
        "clip_norm": 1.0, "noise_eta": 0.01, "noise_gamma": 0.55, "dropout": 0.0,
        "curriculum_bound": 0.0,
    }  # fmt: skip
    return Workload(f"neural_gpu, {maps} maps", "neural_gpu", shared, values)


def workloads() -> dict[str, Workload]:
    """Every workload of the bench by name."""
    found = (deep_mlp(), deep_mlp(noise=False), neural_gpu(8), neural_gpu(12))
    return {w.name: w for w in found}


def tables(work: Workload) -> Tables:
    """The examples of a workload."""
    if work.experiment == "deep_mlp":
        d = digits5k()
        return Tables(d.train_images, d.train_labels, d.test_images, d.test_labels)
    return _additions(work.shared["bits"])


@cache
def _additions(bits: int) -> Tables:
    """All pairs of operands on either side of the split; the test side is drawn once."""
    digits = np.array(list(product((0, 1), repeat=bits)), np.uint8)
    first, second = (x.ravel() for x in np.meshgrid(range(2**bits), range(2**bits)))
    a, b = digits[first], digits[second]
    source, target = (t.astype(np.int64) for t in arithmetic.tape("binary_addition", a, b))
    held_out = arithmetic.is_test(a, b)
    test = np.random.default_rng(1).choice(np.flatnonzero(held_out), EVAL_EXAMPLES)
    return Tables(source[~held_out], target[~held_out], source[test], target[test])

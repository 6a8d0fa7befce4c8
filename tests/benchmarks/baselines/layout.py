"""Between Seedbed's names and shapes of weights and those of the torch.nn networks."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from tests.benchmarks.baselines.contender import Weights
from tests.benchmarks.baselines.workload import Workload


def to_torch(work: Workload, weights: Weights) -> dict[str, Tensor]:
    """Names of `network(work).named_parameters()`, each (R, ...)."""
    found: dict[str, np.ndarray] = {}
    if work.experiment == "deep_mlp":
        for layer in range(work.shared["depth"] + 1):
            found[f"{2 * layer}.weight"] = weights[f"w{layer:02d}"].swapaxes(1, 2)
            found[f"{2 * layer}.bias"] = weights[f"b{layer:02d}"][:, 0]
    else:
        found["embedding"] = weights["embedding"]
        for name in ("input", "output"):
            found[f"{name}.weight"] = weights[f"{name}.w"].swapaxes(1, 2)
            found[f"{name}.bias"] = weights[f"{name}.b"]
        for i in range(work.shared["layers"]):
            for place, kinds in (("gates", ("update", "reset")), ("candidates", ("candidate",))):
                kernels = [weights[f"cgru{i}.{k}.w"].transpose(0, 4, 3, 1, 2) for k in kinds]
                found[f"{place}.{i}.weight"] = np.concatenate(kernels, 1)
                biases = [weights[f"cgru{i}.{k}.b"] for k in kinds]
                found[f"{place}.{i}.bias"] = np.concatenate(biases, 1)
    return {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in found.items()}


def from_torch(work: Workload, parameters: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Seedbed's names from stacked parameters (R, ...)."""
    given = {name: p.detach().cpu().numpy() for name, p in parameters.items()}
    found: dict[str, np.ndarray] = {}
    if work.experiment == "deep_mlp":
        for layer in range(work.shared["depth"] + 1):
            found[f"w{layer:02d}"] = given[f"{2 * layer}.weight"].swapaxes(1, 2)
            found[f"b{layer:02d}"] = given[f"{2 * layer}.bias"][:, None]
        return found
    found["embedding"] = given["embedding"]
    for name in ("input", "output"):
        found[f"{name}.w"] = given[f"{name}.weight"].swapaxes(1, 2)
        found[f"{name}.b"] = given[f"{name}.bias"]
    for i in range(work.shared["layers"]):
        for place, kinds in (("gates", ("update", "reset")), ("candidates", ("candidate",))):
            kernels = np.split(given[f"{place}.{i}.weight"], len(kinds), 1)
            biases = np.split(given[f"{place}.{i}.bias"], len(kinds), 1)
            for kind, kernel, bias in zip(kinds, kernels, biases, strict=True):
                found[f"cgru{i}.{kind}.w"] = kernel.transpose(0, 3, 4, 2, 1)
                found[f"cgru{i}.{kind}.b"] = bias
    return found

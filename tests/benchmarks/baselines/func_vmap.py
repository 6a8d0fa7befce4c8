"""Many networks with torch.func: stack_module_state, vmap over grad, one optimiser on the stack."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from tests.benchmarks.baselines.contender import Weights
from tests.benchmarks.baselines.layout import from_torch, to_torch
from tests.benchmarks.baselines.networks import loss, network
from tests.benchmarks.baselines.workload import Workload, tables

Leaves = dict[str, Tensor]


class FuncVmap:
    """R networks as one stacked module.

    The global norm is taken inside the vmapped function, so clipping is each network's own; SGD
    and Adam act on elements, so torch's own optimiser on the stack is R optimisers.
    """

    def __init__(self, work: Workload, lanes: int, device: str = "cpu", seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.work = work
        self.lanes = lanes
        self.device = torch.device(device)
        t = tables(work)
        self.inputs, self.targets, self.test_inputs, self.test_targets = (
            torch.from_numpy(a).to(self.device)
            for a in (t.inputs, t.targets, t.test_inputs, t.test_targets)
        )
        models = [network(work).to(self.device) for _ in range(lanes)]
        self.params, _ = stack_module_state(models)
        self.model = models[0].to("meta")
        self.noise = {k: torch.empty_like(v) for k, v in self.params.items()}
        self.gradients = vmap(self._clipped)
        self.optimiser = self._optimiser()
        self.t = 0

    def _optimiser(self) -> torch.optim.Optimizer:
        values = self.work.values
        leaves = list(self.params.values())
        if self.work.shared["optimiser"] == "sgd":
            return torch.optim.SGD(leaves, lr=values["learning_rate"], fused=True)
        return torch.optim.Adam(
            leaves, lr=values["learning_rate"], eps=values["adam_eps"], fused=True
        )

    def _loss(self, params: Leaves, inputs: Tensor, targets: Tensor) -> Tensor:
        return loss(functional_call(self.model, params, (inputs,)), targets)

    def _clipped(self, params: Leaves, inputs: Tensor, targets: Tensor) -> tuple[Leaves, Tensor]:
        gradients, value = grad_and_value(self._loss)(params, inputs, targets)
        norm = torch.stack([g.square().sum() for g in gradients.values()]).sum().sqrt()
        scale = torch.clamp(self.work.values["clip_norm"] / norm, max=1.0)
        return {name: g * scale for name, g in gradients.items()}, value

    def train(self, steps: int) -> np.ndarray:
        """Takes so many steps; losses (steps, R)."""
        shape = (self.lanes, self.work.shared["batch"])
        high = len(self.inputs)
        return self._run(torch.randint(high, shape, device=self.device) for _ in range(steps))

    def replay(self, chosen: np.ndarray) -> np.ndarray:
        """Trains on given rows (steps, R, B); losses (steps, R)."""
        return self._run(torch.from_numpy(rows).to(self.device) for rows in chosen)

    def _run(self, batches: Iterator[Tensor]) -> np.ndarray:
        return torch.stack([self._step(chosen) for chosen in batches]).cpu().numpy()

    def _step(self, chosen: Tensor) -> Tensor:
        values = self.work.values
        with torch.no_grad():
            params = {k: v.detach() for k, v in self.params.items()}
            gradients, losses = self.gradients(params, self.inputs[chosen], self.targets[chosen])
            if values["noise_eta"] > 0:
                std = math.sqrt(values["noise_eta"] / (1 + self.t) ** values["noise_gamma"])
                for name, noise in self.noise.items():
                    gradients[name].add_(noise.normal_(), alpha=std)
            for name, leaf in self.params.items():
                leaf.grad = gradients[name]
            self.optimiser.step()
        self.t += 1
        return losses

    def evaluate(self) -> np.ndarray:
        """(R,) mean loss on the test table."""
        with torch.no_grad():
            over = vmap(self._loss, in_dims=(0, None, None))
            params = {k: v.detach() for k, v in self.params.items()}
            return over(params, self.test_inputs, self.test_targets).cpu().numpy()

    def load(self, weights: Weights) -> None:
        """Starts again from these weights."""
        given = to_torch(self.work, weights)
        with torch.no_grad():
            for name, leaf in self.params.items():
                leaf.copy_(given[name])
        self.optimiser = self._optimiser()
        self.t = 0

    def weights(self) -> dict[str, np.ndarray]:
        """The weights now."""
        return from_torch(self.work, self.params)

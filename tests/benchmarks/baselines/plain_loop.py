"""The baseline that a user would write: one network, torch.nn, one loop, one thread."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from tests.benchmarks.baselines.contender import Weights
from tests.benchmarks.baselines.layout import from_torch, to_torch
from tests.benchmarks.baselines.networks import loss, network
from tests.benchmarks.baselines.workload import Workload, tables


class PlainLoop:
    """One network; fused optimiser, foreach clipping, and noise drawn into one flat buffer."""

    lanes = 1

    def __init__(self, work: Workload, lanes: int = 1, device: str = "cpu", seed: int = 0) -> None:
        if lanes != 1:
            raise ValueError(f"a plain loop trains one network, not {lanes}; ask for lanes=1")
        torch.manual_seed(seed)
        self.work = work
        self.device = torch.device(device)
        t = tables(work)
        self.inputs, self.targets, self.test_inputs, self.test_targets = (
            torch.from_numpy(a).to(self.device)
            for a in (t.inputs, t.targets, t.test_inputs, t.test_targets)
        )
        self.model = network(work).to(self.device)
        self.parameters = list(self.model.parameters())
        sizes = [p.numel() for p in self.parameters]
        self.noise = torch.empty(sum(sizes), device=self.device)
        self.parts = [
            v.view_as(p) for v, p in zip(self.noise.split(sizes), self.parameters, strict=True)
        ]
        self.optimiser = self._optimiser()
        self.t = 0

    def _optimiser(self) -> torch.optim.Optimizer:
        values = self.work.values
        if self.work.shared["optimiser"] == "sgd":
            return torch.optim.SGD(self.parameters, lr=values["learning_rate"], fused=True)
        return torch.optim.Adam(
            self.parameters, lr=values["learning_rate"], eps=values["adam_eps"], fused=True
        )

    def train(self, steps: int) -> np.ndarray:
        """Takes so many steps; losses (steps, 1)."""
        batch = self.work.shared["batch"]
        high = len(self.inputs)
        return self._run(torch.randint(high, (batch,), device=self.device) for _ in range(steps))

    def replay(self, chosen: np.ndarray) -> np.ndarray:
        """Trains on given rows (steps, 1, B); losses (steps, 1)."""
        return self._run(torch.from_numpy(rows[0]).to(self.device) for rows in chosen)

    def _run(self, batches: Iterator[Tensor]) -> np.ndarray:
        losses = [self._step(chosen) for chosen in batches]
        return torch.stack(losses).cpu().numpy()[:, None]

    def _step(self, chosen: Tensor) -> Tensor:
        values = self.work.values
        found = loss(self.model(self.inputs[chosen]), self.targets[chosen])
        self.optimiser.zero_grad()
        found.backward()
        nn.utils.clip_grad_norm_(self.parameters, values["clip_norm"], foreach=True)
        if values["noise_eta"] > 0:
            self.noise.normal_(
                std=math.sqrt(values["noise_eta"] / (1 + self.t) ** values["noise_gamma"])
            )
            torch._foreach_add_([p.grad for p in self.parameters], self.parts)
        self.optimiser.step()
        self.t += 1
        return found.detach()

    def evaluate(self) -> np.ndarray:
        """(1,) mean loss on the test table."""
        with torch.inference_mode():
            found = loss(self.model(self.test_inputs), self.test_targets)
        return found.cpu().numpy()[None]

    def load(self, weights: Weights) -> None:
        """Starts again from these weights."""
        given = to_torch(self.work, weights)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(given[name][0])
        self.optimiser = self._optimiser()
        self.t = 0

    def weights(self) -> dict[str, np.ndarray]:
        """The weights now."""
        return from_torch(self.work, {n: p[None] for n, p in self.model.named_parameters()})

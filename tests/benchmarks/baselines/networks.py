"""The two networks in torch.nn, one network at a time, as a user writes them."""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.benchmarks.baselines.workload import Workload

_SYMBOLS = 4


def network(work: Workload) -> nn.Module:
    """A freshly drawn network of the workload."""
    return _mlp(work) if work.experiment == "deep_mlp" else NeuralGpu(work)


def loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over what is asked; symbol 0 of a tape is not."""
    if targets.ndim == 1:
        return functional.cross_entropy(logits, targets)
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=0)


def _mlp(work: Workload) -> nn.Sequential:
    """Linear layers and ReLUs; weights N(0, init_std^2), biases zero."""
    sizes = [784, *[work.shared["width"]] * work.shared["depth"], 10]
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        nn.init.normal_(linear.weight, std=work.values["init_std"])
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class NeuralGpu(nn.Module):
    """Kaiser & Sutskever 2015 with nn.Conv2d; the gates of a CGRU are one convolution."""

    def __init__(self, work: Workload) -> None:
        super().__init__()
        shared = work.shared
        m = shared["maps"]
        self.width, self.cutoff = shared["width"], shared["gate_cutoff"]
        self.embedding = nn.Parameter(torch.empty(_SYMBOLS, m).uniform_(-1.7, 1.7))
        self.input, self.output = nn.Linear(m, m), nn.Linear(m, _SYMBOLS)
        self.gates = nn.ModuleList(
            nn.Conv2d(m, 2 * m, 3, padding=1) for _ in range(shared["layers"])
        )
        self.candidates = nn.ModuleList(nn.Conv2d(m, m, 3, padding=1) for _ in self.gates)
        for part in (self.input, self.output, *self.gates, *self.candidates):
            fan_in = part.weight[0].numel()
            bound = 1.8 * work.values["init_weight"] * math.sqrt(3.0 / fan_in)
            nn.init.uniform_(part.weight, -bound, bound)
            nn.init.zeros_(part.bias)

    def forward(self, source: Tensor) -> Tensor:
        """(B, n, 4) logits from symbols (B, n)."""
        row = self.input(torch.tanh(self.embedding))[source]  # (B, n, m)
        state = functional.pad(row.transpose(1, 2).unsqueeze(3), (0, self.width - 1))
        for _ in range(source.shape[1]):
            for gates, candidate in zip(self.gates, self.candidates, strict=True):
                opened = self.cutoff * torch.sigmoid(gates(state) + 1) - (self.cutoff - 1) / 2
                update, reset = opened.clamp(0, 1).chunk(2, 1)
                state = torch.lerp(torch.tanh(candidate(reset * state)), state, update)
        out: Tensor = self.output(state[..., 0].transpose(1, 2))
        return out

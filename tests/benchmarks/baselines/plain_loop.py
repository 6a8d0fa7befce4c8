"""The baseline that a user would write: one network, torch.nn, one loop, one thread."""

import itertools
import math
import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def deep_mlp(
    images: torch.Tensor, labels: torch.Tensor, *, depth: int, width: int, batch: int, steps: int
) -> float:
    """Steps per second of a `depth`-layer ReLU network with clipping and gradient noise."""
    torch.manual_seed(0)
    sizes = [images.shape[1], *[width] * depth, 10]
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    began = time.perf_counter()
    for t in range(steps):
        chosen = torch.randint(len(images), (batch,))
        loss = cross_entropy(model(images[chosen]), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        sigma = math.sqrt(0.01 / (1 + t) ** 0.55)
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad.add_(torch.randn_like(parameter), alpha=sigma)
        optimiser.step()
    return steps / (time.perf_counter() - began)

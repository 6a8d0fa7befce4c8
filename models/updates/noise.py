"""Gradient noise: the paper's law, drawn for each lane from its own stream.

Neelakantan et al. 2015, arXiv 1511.06807, section 3: g <- g + N(0, sigma_t^2) with
sigma_t^2 = eta / (1 + t)^gamma, independently at every coordinate, after clipping and before the
optimiser; t counts the lane's own steps from 0.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.program import Lanes
from models.updates.chain import Leaves, Step, Transformation


def noise_std(eta: float, gamma: float, steps: np.ndarray) -> np.ndarray:
    """sigma_t for steps t (any shape), in float64: the square root of the annealed variance."""
    return np.sqrt(eta / (1.0 + steps) ** gamma)


@dataclass
class Noise:
    """What one segment needs: per-step scales, the noisy lanes, their generators and a buffer."""

    std: Tensor
    rows: list[int]
    noisy: Tensor
    generators: list[torch.Generator]
    buffer: Tensor | None = None


def add_noise(eta: str = "noise_eta", gamma: str = "noise_gamma") -> Transformation:
    """Adds annealed Gaussian noise to the lanes whose eta is not zero, and touches no other.

    A lane without noise draws nothing, and its gradients pass bit for bit: adding 0 x noise would
    turn -0.0 into 0.0. Leaves take their coordinates from one flat row a lane, in order of name.

    Args:
        eta: per-lane hyper-parameter of the variance at t = 0.
        gamma: per-lane hyper-parameter of the decay.
    """

    def prepare(lanes: Lanes) -> Noise:
        etas, gammas = lanes.values[eta], lanes.values[gamma]
        # one lane a column, each of the segment's length, so no value depends on the pack's width
        columns = [
            noise_std(float(e), float(g), lanes.steps[:, i])
            for i, (e, g) in enumerate(zip(etas, gammas, strict=True))
        ]
        std = torch.from_numpy(np.stack(columns, axis=1).astype(np.float32)).to(lanes.device)
        rows = [i for i, e in enumerate(etas) if e > 0]
        generators = lanes.torch_generators("noise") if rows else []
        noisy = torch.from_numpy(etas > 0).to(lanes.device)
        return Noise(std, rows, noisy, generators)

    def update(
        updates: Leaves, state: Leaves, params: Leaves, noise: Noise, step: Step
    ) -> tuple[Leaves, Leaves]:
        if not noise.rows:
            return updates, state
        names = sorted(updates)
        sizes = [updates[n][0].numel() for n in names]
        if noise.buffer is None:
            lanes = len(noise.noisy)
            noise.buffer = torch.zeros(lanes, sum(sizes))
        for row in noise.rows:
            noise.buffer[row].normal_(generator=noise.generators[row])
        std = noise.std[step.index]  # (R,)
        drawn = noise.buffer.to(std.device)
        everyone = len(noise.rows) == len(noise.noisy)
        for name, part in zip(names, torch.split(drawn, sizes, dim=1), strict=True):
            leaf = updates[name]
            shape = (-1, *[1] * (leaf.ndim - 1))
            noised = leaf + part.reshape(leaf.shape) * std.view(shape)
            updates[name] = (
                noised if everyone else torch.where(noise.noisy.view(shape), noised, leaf)
            )
        return updates, state

    return Transformation(lambda _: {}, prepare, update)

"""Gradient noise: the paper's law, drawn for each lane from its own stream.

Neelakantan et al. 2015, arXiv 1511.06807, section 3: g <- g + N(0, sigma_t^2) with
sigma_t^2 = eta / (1 + t)^gamma, independently at every coordinate, after clipping and before the
optimiser; t counts the lane's own steps from 0.
"""

import numpy as np
import torch

from models.kernels.normal import add_normal
from models.program import Lanes
from models.updates.chain import Leaves, Rule, Step, Transformation, Updates


def noise_std(eta: float, gamma: float, steps: np.ndarray) -> np.ndarray:
    """sigma_t for steps t (any shape), in float64: the square root of the annealed variance."""
    return np.sqrt(eta / (1.0 + steps) ** gamma)


def add_noise(eta: str = "noise_eta", gamma: str = "noise_gamma") -> Transformation:
    """Adds annealed Gaussian noise to the lanes whose eta is not zero, and touches no other.

    A lane without noise draws nothing, and its gradients pass bit for bit: adding 0 x noise would
    turn -0.0 into 0.0. Leaves take their draws one after another, in order of name.

    Args:
        eta: per-lane hyper-parameter of the variance at t = 0.
        gamma: per-lane hyper-parameter of the decay.
    """

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        etas, gammas = lanes.values[eta], lanes.values[gamma]
        if not (etas > 0).any():
            return lambda updates, step: updates
        # one lane a column, each of the segment's length, so no value depends on the pack's width
        columns = [
            noise_std(float(e), float(g), lanes.steps[:, i])
            for i, (e, g) in enumerate(zip(etas, gammas, strict=True))
        ]
        std = torch.from_numpy(np.stack(columns, axis=1).astype(np.float32)).to(lanes.device)
        noisy = torch.from_numpy(etas > 0).to(lanes.device)
        keys = lanes.counter_keys("noise")

        def rule(updates: Updates, step: Step) -> Updates:
            # a lane without noise keeps its gain waiting: the same beside any neighbours
            gain = torch.where(noisy, updates.gain, 1.0)
            leaves = updates.writable().leaves
            add_normal(leaves, gain, std[step.index], keys, step.index)
            return Updates(leaves, torch.where(noisy, 1.0, updates.gain))

        return rule

    return Transformation(lambda _: {}, begin)

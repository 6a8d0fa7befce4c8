"""Adam, lane by lane: Kingma & Ba 2015, arXiv 1412.6980, algorithm 1."""

import numpy as np
import torch
from torch import Tensor

from models.program import Lanes
from models.updates.chain import Leaves, Step, Transformation

BETA1, BETA2 = 0.9, 0.999


def adam(rate: str = "learning_rate", epsilon: str = "adam_eps") -> Transformation:
    """The update is -rate m^ / (sqrt(v^) + epsilon), as torch.optim.Adam.

    The bias corrections of step t (from 1) are computed on the host in float64, lane by lane over
    the segment's steps, so that they do not depend on where in the pack a lane lies.

    Args:
        rate: per-lane hyper-parameter of the step size.
        epsilon: per-lane hyper-parameter added to the root.
    """

    def init(params: Leaves) -> Leaves:
        zeros = {k: torch.zeros_like(v, requires_grad=False) for k, v in params.items()}
        return {f"mean.{k}": v for k, v in zeros.items()} | {
            f"square.{k}": v.clone() for k, v in zeros.items()
        }

    def prepare(lanes: Lanes) -> tuple[Tensor, Tensor, Tensor]:
        rates = lanes.values[rate]
        sizes, roots = [], []
        for i, lane_rate in enumerate(rates):
            t = lanes.steps[:, i] + 1.0
            sizes.append(-lane_rate / (1.0 - BETA1**t))
            roots.append(np.sqrt(1.0 - BETA2**t))
        table = [torch.from_numpy(np.stack(c, 1).astype(np.float32)) for c in (sizes, roots)]
        return table[0].to(lanes.device), table[1].to(lanes.device), lanes.value(epsilon)

    def update(
        updates: Leaves,
        state: Leaves,
        params: Leaves,
        prepared: tuple[Tensor, Tensor, Tensor],
        step: Step,
    ) -> tuple[Leaves, Leaves]:
        sizes, roots, eps = prepared[0][step.index], prepared[1][step.index], prepared[2]
        new: Leaves = {}
        for name, gradient in updates.items():
            shape = (-1, *[1] * (gradient.ndim - 1))
            mean = state[f"mean.{name}"] * BETA1 + gradient * (1.0 - BETA1)
            square = state[f"square.{name}"] * BETA2 + gradient * gradient * (1.0 - BETA2)
            new[f"mean.{name}"], new[f"square.{name}"] = mean, square
            root = square.sqrt() / roots.view(shape) + eps.view(shape)
            updates[name] = mean / root * sizes.view(shape)
        return updates, new

    return Transformation(init, prepare, update)

"""Adam, lane by lane: Kingma & Ba 2015, arXiv 1412.6980, algorithm 1."""

import numpy as np
import torch

from models.kernels.leaves import LeafList
from models.program import Lanes
from models.updates.chain import Leaves, Rule, Step, Transformation, Updates, wide

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
        means = {f"mean.{k}": torch.zeros_like(v) for k, v in params.items()}
        return means | {f"square.{k}": torch.zeros_like(v) for k, v in params.items()}

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        sizes, roots = [], []
        for i, lane_rate in enumerate(lanes.values[rate]):
            t = lanes.steps[:, i] + 1.0
            sizes.append(-lane_rate / (1.0 - BETA1**t))
            roots.append(np.sqrt(1.0 - BETA2**t))
        size, root = (
            torch.from_numpy(np.stack(c, 1).astype(np.float32)).to(lanes.device)
            for c in (sizes, roots)
        )
        eps = lanes.value(epsilon)
        means = LeafList({k: v for k, v in state.items() if k.startswith("mean.")})
        squares = LeafList({k: v for k, v in state.items() if k.startswith("square.")})

        def rule(updates: Updates, step: Step) -> Updates:
            leaves = updates.settled().leaves
            for g, mean, square in zip(leaves.tensors, means.tensors, squares.tensors, strict=True):
                mean.mul_(BETA1).add_(g, alpha=1.0 - BETA1)
                square.mul_(BETA2).addcmul_(g, g, value=1.0 - BETA2)
                torch.sqrt(square, out=g).div_(wide(root[step.index], g)).add_(wide(eps, g))
                torch.div(mean, g, out=g)
            return Updates(leaves, size[step.index])

        return rule

    return Transformation(init, begin)

"""Clipping, lane by lane: by each lane's own global norm, or by value."""

from dataclasses import replace

import torch

from models.program import Lanes
from models.updates.chain import Leaves, Rule, Step, Transformation, Updates, wide


def clip_by_global_norm(name: str = "clip_norm") -> Transformation:
    """Scales a lane's gradients by min(1, max_norm / norm), as Pascanu et al. 2013.

    It must be the first link of its chain: it uses the norm of the gradients that enter there.

    Args:
        name: per-lane hyper-parameter that holds the largest norm.
    """

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        limit = lanes.value(name)

        def rule(updates: Updates, step: Step) -> Updates:
            # 0 / 0 cannot be: limit > 0
            scale = torch.clamp(limit / step.grad_norm, max=1.0).float()  # (R,)
            return replace(updates, gain=updates.gain * scale)

        return rule

    return Transformation(lambda _: {}, begin)


def clip_by_value(name: str = "clip_norm") -> Transformation:
    """Clamps each coordinate of a lane's gradients to [-limit, limit]."""

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        limit = lanes.value(name)

        def rule(updates: Updates, step: Step) -> Updates:
            settled = updates.settled()
            for leaf in settled.leaves.tensors:
                bound = wide(limit, leaf)
                torch.minimum(torch.maximum(leaf, -bound), bound, out=leaf)
            return settled

        return rule

    return Transformation(lambda _: {}, begin)


def identity() -> Transformation:
    """Leaves gradients as they are."""

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        return lambda updates, step: updates

    return Transformation(lambda _: {}, begin)

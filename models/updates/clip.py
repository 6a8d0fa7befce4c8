"""Clipping, lane by lane: by each lane's own global norm, by each tensor's norm, or by value."""

from dataclasses import replace

import torch

from models.kernels.leaves import LeafList, squared_norm
from models.program import Lanes
from models.updates.chain import Leaves, Rule, Step, Transformation, Updates, wide
from models.updates.norm import global_norm


def clip_by_global_norm(name: str = "clip_norm", *, first: bool = True) -> Transformation:
    """Scales a lane's gradients by min(1, max_norm / norm), as Pascanu et al. 2013.

    Args:
        name: per-lane hyper-parameter that holds the largest norm.
        first: whether it is the first link of its chain: the norm of what enters is known there.
    """

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        limit = lanes.value(name)

        def rule(updates: Updates, step: Step) -> Updates:
            found = updates if first else updates.settled()
            norm = step.grad_norm if first else global_norm(found.leaves)
            # 0 / 0 cannot be: limit > 0
            scale = torch.clamp(limit / norm, max=1.0).float()  # (R,)
            return replace(found, gain=found.gain * scale)

        return rule

    return Transformation(lambda _: {}, begin)


def clip_by_tensor_norm(name: str = "clip_norm") -> Transformation:
    """Scales each tensor of a lane by min(1, max_norm / its own norm)."""

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        limit = lanes.value(name)

        def rule(updates: Updates, step: Step) -> Updates:
            settled = updates.settled()
            for leaf in settled.leaves.tensors:
                norm = squared_norm(LeafList({"": leaf})).sqrt()
                leaf.mul_(wide(torch.clamp(limit / norm, max=1.0).float(), leaf))
            return settled

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

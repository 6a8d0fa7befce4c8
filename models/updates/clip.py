"""Clipping, lane by lane: by each lane's own global norm, or by value."""

from typing import Any

import torch

from models.program import Lanes
from models.updates.chain import Leaves, Step, Transformation


def clip_by_global_norm(name: str = "clip_norm") -> Transformation:
    """Scales a lane's gradients by min(1, max_norm / norm), as Pascanu et al. 2013.

    It must be the first link of its chain: it uses the norm of the gradients that enter there.

    Args:
        name: per-lane hyper-parameter that holds the largest norm.
    """

    def update(
        updates: Leaves, state: Leaves, params: Leaves, limit: torch.Tensor, step: Step
    ) -> tuple[Leaves, Leaves]:
        scale = torch.clamp(limit / step.grad_norm, max=1.0)  # (R,); 0 / 0 cannot be: limit > 0
        for leaf in updates.values():
            leaf.mul_(scale.view(-1, *[1] * (leaf.ndim - 1)))
        return updates, state

    return Transformation(lambda _: {}, lambda lanes: lanes.value(name), update)


def clip_by_value(name: str = "clip_norm") -> Transformation:
    """Clamps each coordinate of a lane's gradients to [-limit, limit]."""

    def update(
        updates: Leaves, state: Leaves, params: Leaves, limit: torch.Tensor, step: Step
    ) -> tuple[Leaves, Leaves]:
        for key, leaf in updates.items():
            bound = limit.view(-1, *[1] * (leaf.ndim - 1))
            updates[key] = torch.minimum(torch.maximum(leaf, -bound), bound)
        return updates, state

    return Transformation(lambda _: {}, lambda lanes: lanes.value(name), update)


def identity() -> Transformation:
    """Leaves gradients as they are."""

    def update(
        updates: Leaves, state: Leaves, params: Leaves, prepared: Any, step: Step
    ) -> tuple[Leaves, Leaves]:
        return updates, state

    def prepare(lanes: Lanes) -> None:
        return None

    return Transformation(lambda _: {}, prepare, update)

"""Stochastic gradient descent with heavy-ball momentum, lane by lane."""

from dataclasses import replace

import torch

from models.kernels.leaves import LeafList
from models.program import Lanes
from models.updates.chain import Leaves, Rule, Step, Transformation, Updates, wide


def sgd(rate: str = "learning_rate", momentum: str = "momentum") -> Transformation:
    """V <- momentum v + g; the update is -rate v, as torch.optim.SGD without dampening.

    Args:
        rate: per-lane hyper-parameter of the step size.
        momentum: per-lane hyper-parameter; a lane of momentum 0 is plain SGD, bit for bit.
    """

    def init(params: Leaves) -> Leaves:
        return {f"velocity.{k}": torch.zeros_like(v) for k, v in params.items()}

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        down = -lanes.value(rate)
        moments = lanes.value(momentum)
        if not lanes.values[momentum].any():
            return lambda updates, step: replace(updates, gain=updates.gain * down)
        velocities = LeafList(state)
        moving = moments > 0

        def rule(updates: Updates, step: Step) -> Updates:
            # the rows of lanes of momentum 0 hold their gradients, and the gain that goes with them
            for v, g in zip(velocities.tensors, updates.leaves.tensors, strict=True):
                kept = v.mul_(wide(moments, v)).addcmul_(g, wide(updates.gain, g))
                torch.where(wide(moving, v), kept, g, out=v)
            gain = torch.where(moving, 1.0, updates.gain)
            return Updates(velocities, gain * down, mine=False)

        return rule

    return Transformation(init, begin)

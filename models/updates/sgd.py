"""Stochastic gradient descent with heavy-ball or Nesterov momentum, lane by lane."""

from dataclasses import replace

import torch

from models.kernels.leaves import LeafList
from models.program import Lanes
from models.updates.chain import Leaves, Rule, Step, Transformation, Updates, wide
from models.updates.schedule import on_device, rates
from models.updates.settings import Schedule


def sgd(schedule: Schedule = "constant", *, nesterov: bool = False) -> Transformation:
    """V <- momentum v + g; the update is -rate v, as torch.optim.SGD without dampening.

    With Nesterov's momentum it is -rate (g + momentum v), in the form of Sutskever et al. 2013. A
    lane of momentum 0 is plain SGD, bit for bit.

    Args:
        schedule: of the step size.
        nesterov: whether momentum is Nesterov's.
    """

    def init(params: Leaves) -> Leaves:
        return {f"velocity.{k}": torch.zeros_like(v) for k, v in params.items()}

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        down = on_device(-rates(lanes, schedule), lanes)
        moments = lanes.value("momentum")
        if not lanes.values["momentum"].any():
            return lambda updates, step: replace(updates, gain=updates.gain * down[step.index])
        velocities = LeafList(state)
        moving = moments > 0

        def heavy(updates: Updates, step: Step) -> Updates:
            # the rows of lanes of momentum 0 hold their gradients, and the gain that goes with them
            for v, g in zip(velocities.tensors, updates.leaves.tensors, strict=True):
                kept = v.mul_(wide(moments, v)).addcmul_(g, wide(updates.gain, g))
                torch.where(wide(moving, v), kept, g, out=v)
            gain = torch.where(moving, 1.0, updates.gain)
            return Updates(velocities, gain * down[step.index], mine=False)

        def looking_ahead(updates: Updates, step: Step) -> Updates:
            leaves = updates.writable().leaves
            for v, g in zip(velocities.tensors, leaves.tensors, strict=True):
                now = g * wide(updates.gain, g)
                v.mul_(wide(moments, v)).add_(now)
                torch.where(wide(moving, v), now.addcmul_(v, wide(moments, v)), g, out=g)
            gain = torch.where(moving, 1.0, updates.gain)
            return Updates(leaves, gain * down[step.index])

        return looking_ahead if nesterov else heavy

    return Transformation(init, begin)

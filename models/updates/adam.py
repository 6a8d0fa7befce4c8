"""Adam and its kin, lane by lane.

Adam and AdaMax: Kingma & Ba 2015, arXiv 1412.6980, algorithms 1 and 2. AdamW: Loshchilov & Hutter
2019, arXiv 1711.05101. RMSProp: Tieleman & Hinton 2012.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from models.kernels.leaves import LeafList
from models.program import Lanes
from models.updates.chain import Leaves, Rule, Step, Transformation, Updates, wide
from models.updates.schedule import on_device, rates
from models.updates.settings import Schedule


def adam(schedule: Schedule = "constant") -> Transformation:
    """The update is -rate m^ / (sqrt(v^) + epsilon), as torch.optim.Adam.

    The bias corrections of step t (from 1) are computed on the host in float64, lane by lane over
    the segment's steps, so that they do not depend on where in the pack a lane lies.

    Args:
        schedule: of the step size.
    """

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        size = on_device(-rates(lanes, schedule) / _corrections(lanes, "beta1"), lanes)
        root = on_device(np.sqrt(_corrections(lanes, "beta2")), lanes)
        eps = lanes.value("adam_eps")
        keep1, take1 = _decay(lanes, "beta1")
        keep2, take2 = _decay(lanes, "beta2")
        means, squares = _parts(state, "mean"), _parts(state, "square")

        def rule(updates: Updates, step: Step) -> Updates:
            leaves = updates.settled().leaves
            for g, mean, square in zip(leaves.tensors, means.tensors, squares.tensors, strict=True):
                mean.mul_(wide(keep1, g)).addcmul_(g, wide(take1, g))
                square.mul_(wide(keep2, g)).addcmul_(g.square(), wide(take2, g))
                torch.sqrt(square, out=g).div_(wide(root[step.index], g)).add_(wide(eps, g))
                torch.div(mean, g, out=g)
            return Updates(leaves, size[step.index])

        return rule

    return Transformation(_two("mean", "square"), begin)


def adamw(schedule: Schedule = "constant") -> Transformation:
    """Adam, and parameters shrink by rate x weight_decay before the update: torch.optim.AdamW."""
    plain = adam(schedule)

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        inner = plain.begin(lanes, state)
        decay = lanes.values["weight_decay"]
        keep = on_device(1.0 - rates(lanes, schedule) * decay, lanes)

        def rule(updates: Updates, step: Step) -> Updates:
            return replace(inner(updates, step), keep=keep[step.index])

        return rule

    return Transformation(plain.init, begin)


def adamax(schedule: Schedule = "constant") -> Transformation:
    """The update is -rate m^ / u with u <- max(beta2 u, |g| + epsilon), as torch.optim.Adamax."""

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        size = on_device(-rates(lanes, schedule) / _corrections(lanes, "beta1"), lanes)
        eps, keep2 = lanes.value("adam_eps"), lanes.value("beta2")
        keep1, take1 = _decay(lanes, "beta1")
        means, largest = _parts(state, "mean"), _parts(state, "largest")

        def rule(updates: Updates, step: Step) -> Updates:
            leaves = updates.settled().leaves
            for g, mean, most in zip(leaves.tensors, means.tensors, largest.tensors, strict=True):
                mean.mul_(wide(keep1, g)).addcmul_(g, wide(take1, g))
                g.abs_().add_(wide(eps, g))
                torch.maximum(most.mul_(wide(keep2, g)), g, out=most)
                torch.div(mean, most, out=g)
            return Updates(leaves, size[step.index])

        return rule

    return Transformation(_two("mean", "largest"), begin)


def rmsprop(schedule: Schedule = "constant") -> Transformation:
    """The update is -rate g / (sqrt(v) + epsilon), with momentum, as torch.optim.RMSprop."""

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        down = on_device(-rates(lanes, schedule), lanes)
        eps, moments = lanes.value("adam_eps"), lanes.value("momentum")
        keep, take = _decay(lanes, "rms_decay")
        squares, velocities = _parts(state, "square"), _parts(state, "velocity")
        moving = moments > 0

        def rule(updates: Updates, step: Step) -> Updates:
            leaves = updates.settled().leaves
            for g, square, v in zip(
                leaves.tensors, squares.tensors, velocities.tensors, strict=True
            ):
                square.mul_(wide(keep, g)).addcmul_(g.square(), wide(take, g))
                g.div_(square.sqrt().add_(wide(eps, g)))
                v.mul_(wide(moments, v)).add_(g)
                torch.where(wide(moving, v), v, g, out=g)
            return Updates(leaves, down[step.index])

        return rule

    return Transformation(_two("square", "velocity"), begin)


def _two(*names: str) -> Callable[[Leaves], Leaves]:
    """Zeros for each parameter, under each of two names."""
    return lambda params: {
        f"{name}.{k}": torch.zeros_like(v) for name in names for k, v in params.items()
    }


def _parts(state: Leaves, name: str) -> LeafList:
    return LeafList({k: v for k, v in state.items() if k.startswith(f"{name}.")})


def _corrections(lanes: Lanes, beta: str) -> np.ndarray:
    """(segment, R) float64: 1 - beta^t at steps t from 1."""
    columns = [
        1.0 - float(b) ** (lanes.steps[:, i] + 1.0) for i, b in enumerate(lanes.values[beta])
    ]
    return np.stack(columns, 1)


def _decay(lanes: Lanes, beta: str) -> tuple[Tensor, Tensor]:
    """(R,) float32 beta and 1 - beta, each rounded once."""
    values = lanes.values[beta]
    kept, taken = (torch.from_numpy(v.astype(np.float32)) for v in (values, 1.0 - values))
    return kept.to(lanes.device), taken.to(lanes.device)

"""Stochastic gradient descent with heavy-ball momentum, lane by lane."""

from torch import Tensor

from models.program import Lanes
from models.updates.chain import Leaves, Step, Transformation


def sgd(rate: str = "learning_rate", momentum: str = "momentum") -> Transformation:
    """V <- momentum v + g; the update is -rate v, as torch.optim.SGD without dampening.

    Args:
        rate: per-lane hyper-parameter of the step size.
        momentum: per-lane hyper-parameter; 0 is plain SGD, bit for bit.
    """

    def init(params: Leaves) -> Leaves:
        return {f"velocity.{k}": v.detach().clone().zero_() for k, v in params.items()}

    def prepare(lanes: Lanes) -> tuple[Tensor, Tensor]:
        return lanes.value(rate), lanes.value(momentum)

    def update(
        updates: Leaves, state: Leaves, params: Leaves, prepared: tuple[Tensor, Tensor], step: Step
    ) -> tuple[Leaves, Leaves]:
        rates, moments = prepared
        new: Leaves = {}
        for name, gradient in updates.items():
            shape = (-1, *[1] * (gradient.ndim - 1))
            velocity = state[f"velocity.{name}"] * moments.view(shape) + gradient
            new[f"velocity.{name}"] = velocity
            updates[name] = velocity * -rates.view(shape)
        return updates, new

    return Transformation(init, prepare, update)

"""From settings to an update rule: clip -> add noise -> optimiser, the paper's order."""

from collections.abc import Callable

from models.updates.adam import adam, adamax, adamw, rmsprop
from models.updates.chain import Transformation, chain
from models.updates.clip import (
    clip_by_global_norm,
    clip_by_tensor_norm,
    clip_by_value,
    identity,
)
from models.updates.noise import add_late_init, add_noise, sign
from models.updates.settings import Optimiser, Schedule, UpdateSettings
from models.updates.sgd import sgd

OPTIMISERS: dict[Optimiser, Callable[[Schedule], Transformation]] = {
    "sgd": sgd,
    "nesterov": lambda schedule: sgd(schedule, nesterov=True),
    "rmsprop": rmsprop,
    "adam": adam,
    "adamax": adamax,
    "adamw": adamw,
}


def update_rule(settings: UpdateSettings) -> Transformation:
    """The chain that a structure's shared settings name."""
    s = settings
    optimiser = OPTIMISERS[s.optimiser](s.schedule)
    if s.noise == "late_init":
        return chain(_clip(s), optimiser, add_late_init(s.schedule))
    noise = add_noise(s.noise, s.schedule)
    if s.noise == "before_clip":
        return chain(noise, _clip(s, first=False), optimiser)
    if s.noise == "dithered_sign":
        return chain(_clip(s), noise, sign(), optimiser)
    return chain(_clip(s), noise, optimiser)


def _clip(settings: UpdateSettings, *, first: bool = True) -> Transformation:
    match settings.clip:
        case "none":
            return identity()
        case "norm":
            return clip_by_global_norm(first=first)
        case "tensor":
            return clip_by_tensor_norm()
        case "value":
            return clip_by_value()

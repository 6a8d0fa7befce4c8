"""Hyper-parameters of the update rule, shared by every experiment; no tensor library.

A rule reads some of them; a cell in which one is set to another value than its default and is not
read is refused, since the sweep would not be what its spec says.
"""

from typing import Literal

from models.experiment import Settings, per_lane, shared

Optimiser = Literal["sgd", "nesterov", "rmsprop", "adam", "adamax", "adamw"]
Schedule = Literal["constant", "halving", "warmup", "cosine"]
Clip = Literal["none", "norm", "tensor", "value"]
NoiseLaw = Literal[
    "annealed",
    "fixed",
    "before_clip",
    "truncated",
    "error_scaled",
    "variance_as_std",
    "sgld",
    "dithered_sign",
    "late_init",
]

#: optimiser -> tensors of a parameter's shape that it keeps
KEPT: dict[Optimiser, int] = {
    "sgd": 1, "nesterov": 1, "rmsprop": 2, "adam": 2, "adamax": 2, "adamw": 2,
}  # fmt: skip
#: hyper-parameter -> the setting that decides whether it is read, and by which values of that
READ_BY: dict[str, tuple[str, tuple[str, ...]]] = {
    "momentum": ("optimiser", ("sgd", "nesterov", "rmsprop")),
    "beta1": ("optimiser", ("adam", "adamax", "adamw")),
    "beta2": ("optimiser", ("adam", "adamax", "adamw")),
    "adam_eps": ("optimiser", ("adam", "adamax", "adamw", "rmsprop")),
    "rms_decay": ("optimiser", ("rmsprop",)),
    "weight_decay": ("optimiser", ("adamw",)),
    "clip_norm": ("clip", ("norm", "tensor", "value")),
    "schedule_steps": ("schedule", ("halving", "warmup", "cosine")),
    "noise_gamma": (
        "noise",
        (
            "annealed",
            "before_clip",
            "truncated",
            "error_scaled",
            "variance_as_std",
            "dithered_sign",
            "late_init",
        ),
    ),
    "late_step": ("noise", ("late_init",)),
    "late_span": ("noise", ("late_init",)),
}


class UpdateSettings(Settings):
    """Clip, then add noise, then the optimiser."""

    optimiser: Optimiser = shared(
        "sgd", doc="sgd and nesterov (with momentum), rmsprop, adam, adamax, adamw"
    )
    learning_rate: float = per_lane(0.1, gt=0, le=1e6, doc="step size of the optimiser")
    schedule: Schedule = shared(
        "constant",
        doc="of the step size: constant; halving every schedule_steps; warmup: linear over them, "
        "then constant; cosine: to zero over them",
    )
    schedule_steps: float = per_lane(1000.0, ge=1, le=1e9, doc="steps of the schedule")
    momentum: float = per_lane(
        0.0, ge=0, lt=1, doc="momentum of sgd, nesterov and rmsprop; 0 is none"
    )
    beta1: float = per_lane(0.9, ge=0, lt=1, doc="decay of adam's mean")
    beta2: float = per_lane(0.999, ge=0, lt=1, doc="decay of adam's square, or largest, gradient")
    adam_eps: float = per_lane(1e-8, gt=0, doc="added to the root of adam and rmsprop")
    rms_decay: float = per_lane(0.99, ge=0, lt=1, doc="decay of rmsprop's square")
    weight_decay: float = per_lane(
        0.01, ge=0, le=1, doc="adamw: parameters shrink by rate x this a step"
    )
    clip: Clip = shared(
        "none",
        doc="clip gradients not at all, by each lane's global norm, by each tensor's, or by value",
    )
    clip_norm: float = per_lane(10.0, gt=0, doc="largest norm, or value, after clipping")
    noise: NoiseLaw = shared(
        "annealed",
        doc="law of the gradient noise, of which noise_eta 0 is none: annealed is the paper's; "
        "fixed: variance noise_eta at every step; before_clip: the paper's, before clipping; "
        "truncated: cut at two standard deviations; error_scaled: truncated, and of variance "
        "times the training error above 0.02; variance_as_std: the variance taken for the standard "
        "deviation, as optax did until 2022; sgld: Langevin dynamics at temperature noise_eta; "
        "dithered_sign: the sign of the noisy gradient; late_init: one perturbation of the weights "
        "instead of noise",
    )
    noise_eta: float = per_lane(
        0.0, ge=0, doc="gradient noise: variance eta / (1 + t)^gamma; 0 is none"
    )
    noise_gamma: float = per_lane(0.55, ge=0, doc="decay of the noise's variance")
    late_step: float = per_lane(0.0, ge=0, le=1e9, doc="late_init: the step of the perturbation")
    late_span: float = per_lane(
        1000.0, ge=1, le=1e7, doc="late_init: it is as large as the noise of so many steps"
    )

    def conflicts(self, steps: int) -> list[tuple[str, str]]:
        """What is set and would not be read, and noise that its optimiser would not make."""
        found = super().conflicts(steps)
        for name, (by, values) in READ_BY.items():
            default, chosen = type(self).model_fields[name].default, getattr(self, by)
            if getattr(self, name) != default and chosen not in values:
                rule = (
                    f"{name} {getattr(self, name)} is read only with {by} {' or '.join(values)}, "
                    f"and {by} is {chosen}"
                )
                found.append((rule, f"leave {name} out, or set it only where it is read"))
        if self.noise in ("sgld", "late_init") and (self.optimiser != "sgd" or self.momentum):
            rule = (
                f"noise {self.noise} is as large as plain gradient descent makes it, and optimiser "
                f"is {self.optimiser} with momentum {self.momentum}"
            )
            found.append((rule, "use optimiser sgd without momentum, or another law of noise"))
        if self.noise == "before_clip" and self.clip == "none":
            rule = "noise before_clip is the paper's law where nothing is clipped, and clip is none"
            found.append((rule, "set clip, or use noise annealed"))
        if self.noise == "late_init" and self.late_step >= steps:
            rule = f"late_step {self.late_step:g} is not reached within {steps} steps"
            found.append((rule, "lower late_step, or raise budget.steps"))
        return found

    @property
    def numbers_a_parameter(self) -> int:
        """The parameter itself and what the optimiser keeps beside it."""
        return 1 + KEPT[self.optimiser]

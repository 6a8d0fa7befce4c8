"""Hyper-parameters of the update rule, shared by every experiment; no tensor library."""

from typing import Literal

from models.experiment import Settings, per_lane, shared


class UpdateSettings(Settings):
    """Clip, then add noise, then the optimiser."""

    optimiser: Literal["sgd", "adam"] = shared(
        "sgd", doc="sgd (with momentum) or adam; betas 0.9 and 0.999"
    )
    learning_rate: float = per_lane(0.1, gt=0, le=1e6, doc="step size of the optimiser")
    momentum: float = per_lane(0.0, ge=0, lt=1, doc="heavy-ball momentum of sgd; 0 is plain SGD")
    adam_eps: float = per_lane(1e-8, gt=0, doc="added to adam's root")
    clip: Literal["none", "norm", "value"] = shared(
        "none", doc="clip gradients not at all, by each lane's global norm, or by value"
    )
    clip_norm: float = per_lane(10.0, gt=0, doc="largest global norm, or value, after clipping")
    noise_eta: float = per_lane(
        0.0, ge=0, doc="gradient noise: variance eta / (1 + t)^gamma; 0 is none"
    )
    noise_gamma: float = per_lane(0.55, ge=0, doc="decay of the noise's variance")

    @property
    def numbers_a_parameter(self) -> int:
        """The parameter itself and what the optimiser keeps beside it."""
        return 1 + {"sgd": 1, "adam": 2}[self.optimiser]

"""From settings to an update rule: clip -> add noise -> optimiser, the paper's order."""

from models.updates.adam import adam
from models.updates.chain import Transformation, chain
from models.updates.clip import clip_by_global_norm, clip_by_value, identity
from models.updates.noise import add_noise
from models.updates.settings import UpdateSettings
from models.updates.sgd import sgd


def update_rule(settings: UpdateSettings) -> Transformation:
    """The chain that a structure's shared settings name."""
    clips = {"none": identity, "norm": clip_by_global_norm, "value": clip_by_value}
    optimisers = {"sgd": sgd, "adam": adam}
    return chain(clips[settings.clip](), add_noise(), optimisers[settings.optimiser]())

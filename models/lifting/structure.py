"""The settings that a lifted network sees: the structure's, and no per-lane value to misread."""

from collections.abc import Iterator
from contextlib import contextmanager

from models.experiment import Experiment, Settings
from models.lifting.refusals import LiftError


@contextmanager
def shared_only(settings: Settings, experiment: Experiment) -> Iterator[Settings]:
    """A copy without per-lane fields, which would be at their defaults whatever a lane's are.

    Raises:
        LiftError: a per-lane field is read from it within the context.
    """
    structure = settings.model_copy()
    own = sorted(experiment.lane_values(settings))
    for name in own:
        del structure.__dict__[name]
    try:
        yield structure
    except AttributeError as error:
        if error.obj is not structure or error.name not in own:
            raise
        raise LiftError(
            f"experiment {experiment.name!r} reads {error.name!r} from its settings; it is a "
            "per-lane hyper-parameter, and each lane of a tile has its own value; take it from "
            f"hyper[{error.name!r}] in loss() and evaluate(), from values[{error.name!r}] in "
            "init(), batch() and held_out()"
        ) from error

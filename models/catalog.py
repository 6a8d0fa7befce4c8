"""The catalogue of experiments: built in and installed, by name; describing needs no torch."""

import difflib
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from models.experiment import Experiment, LiftedExperiment

if TYPE_CHECKING:
    from models.program import ProgramClass

GROUP = "seedbed.experiments"


class UnknownExperimentError(LookupError):
    """No installed package declares an experiment of this name."""


@cache
def experiments() -> dict[str, Experiment]:
    """Every installed experiment, by name, in order of name.

    Raises:
        TypeError: an entry point does not lead to an Experiment.
    """
    found: dict[str, Experiment] = {}
    for point in entry_points(group=GROUP):
        experiment = point.load()
        if not isinstance(experiment, Experiment):
            raise TypeError(
                f"entry point {point.value!r} of group {GROUP} is a {type(experiment).__name__}; "
                "it must lead to a models.experiment.Experiment; mend the package that declares it"
            )
        found[experiment.name] = experiment
    return dict(sorted(found.items()))


def experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UnknownExperimentError: there is none; the message lists those that there are.
    """
    known = experiments()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownExperimentError(
            f"there is no experiment {name!r}; installed are {', '.join(known)}{hint}"
        )
    return known[name]


def program(experiment: Experiment) -> "ProgramClass":
    """The program of an experiment, lifted where it is one; this is where torch is imported.

    Raises:
        ImportError, AttributeError: its "module:Class" does not exist.
    """
    module, _, name = experiment.program.partition(":")
    named = getattr(import_module(module), name)
    if isinstance(experiment, LiftedExperiment):
        named = import_module("models.lifting.program").lift(named, experiment)
    found: ProgramClass = named
    return found

"""The resolved settings of a plan's structures: what an experiment says of them, it says here."""

from models.experiment import Experiment, Settings
from service.plan import Plan


def resolved(plan: Plan, experiment: Experiment) -> list[Settings]:
    """One cell's whole settings for each structure, in order; shared values are all cells' own."""
    lanes = {cell.structure: cell.values for cell in reversed(plan.cells)}
    return [experiment.resolve({**s.pack.shared, **lanes[s.index]}) for s in plan.structures]


def data_sets(plan: Plan, experiment: Experiment) -> tuple[str, ...]:
    """Of every structure, since a data set may be in the grid or an arm's own."""
    return tuple(sorted({name for s in resolved(plan, experiment) for name in experiment.data(s)}))

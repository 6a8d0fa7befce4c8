"""The resolved settings of a plan's structures: what an experiment says of them, it says here."""

from models.experiment import Experiment, Settings
from service.plan import Plan


def resolved(plan: Plan, experiment: Experiment) -> list[Settings]:
    """One cell's whole settings for each structure, in order; shared values are all cells' own."""
    lanes = {cell.structure: cell.values for cell in reversed(plan.cells)}
    return [experiment.resolve({**s.pack.shared, **lanes[s.index]}) for s in plan.structures]

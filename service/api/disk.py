"""Refuses sweeps whose records would not fit on the disk."""

from collections import Counter

from models.catalog import experiment
from service.errors import ProblemError
from service.plan import Plan
from service.structures import resolved

#: bytes of a trial's rows and their indices, of each metric, of each criterion, and of each
#: evaluation and metric in the compressed curve: measured on SQLite, rounded up
TRIAL, RESULT, SUCCESS, POINT = 900, 120, 60, 12
#: of a file of weights beside them: names, shapes, and what they are of
HEADER = 16 * 2**10
#: what is left free whatever comes
RESERVE = 256 * 2**20


def disk_bytes(plan: Plan) -> int:
    """What the records of a plan take at most, about."""
    found = experiment(plan.experiment)
    cells = Counter(cell.structure for cell in plan.cells)
    total = 0
    for structure, settings in zip(plan.structures, resolved(plan, found), strict=True):
        pack, metrics = structure.pack, found.metrics(settings)
        evaluations = 1 + pack.steps // (pack.segment * pack.evaluate_every)
        rare = sum(m.tier == "expensive" and pack.expensive == "end" for m in metrics)
        points = (len(metrics) - rare) * evaluations + rare
        each = TRIAL + len(metrics) * RESULT + len(plan.criteria) * SUCCESS + points * POINT
        total += cells[structure.index] * plan.seeds * each
    return total


def kept_bytes(plan: Plan) -> int | None:
    """What the weights that a plan keeps take at most; None where only training tells.

    As if every trial succeeded, and weights took as much as a lane with its optimiser does.
    """
    if plan.spec.get("keep_weights", "none") == "none":
        return 0
    found = experiment(plan.experiment)
    if found.memory is None:
        return None
    cells = Counter(cell.structure for cell in plan.cells)
    return sum(
        cells[structure.index]
        * plan.seeds
        * (HEADER + found.memory(settings, structure.pack.segment).held)
        for structure, settings in zip(plan.structures, resolved(plan, found), strict=True)
    )


def check_kept(plan: Plan, free: int | None, there: int | None = 0) -> None:
    """Raises a problem when weights that are kept would not fit into storage.

    Args:
        free: bytes that are free there; None where that is another machine's affair.
        there: bytes of its weights that may be there already.

    Raises:
        ProblemError: 507, with the figures.
    """
    kept = kept_bytes(plan)
    if free is None or not kept:
        return
    need = kept - (there or 0) + disk_bytes(plan)  # records often lie on the same disk
    if need + RESERVE <= free:
        return
    raise ProblemError(
        507,
        f"records and weights of all trials would take up to {need / 2**20:,.0f} MiB and "
        f"{RESERVE / 2**20:.0f} MiB stay in reserve, but {free / 2**20:,.0f} MiB are free in "
        "storage; nothing was stored",
        "free some disk, name other storage (SEEDBED_STORAGE_URL), or keep none",
    )


def check_disk(plan: Plan, free: int | None, there: int = 0) -> None:
    """Raises a problem when the estimate does not fit.

    Args:
        there: bytes of its records that are there already.

    Raises:
        ProblemError: 507, with the figures.
    """
    need = disk_bytes(plan) - there
    if free is None or need + RESERVE <= free:
        return
    raise ProblemError(
        507,
        f"the sweep's records would take about {need / 2**20:,.0f} MiB and {RESERVE / 2**20:.0f} "
        f"MiB stay in reserve, but {free / 2**20:,.0f} MiB are free; nothing was stored",
        "free some disk, move the state folder (SEEDBED_STATE_FOLDER), or submit fewer seeds",
    )

"""Refuses sweeps whose records would not fit on the disk."""

from service.errors import ProblemError
from service.plan import Plan

#: bytes of a trial's rows and their indices, of each metric, of each criterion, and of each
#: evaluation and metric in the compressed curve: measured on SQLite, rounded up
TRIAL, RESULT, SUCCESS, POINT = 900, 120, 60, 12
#: what is left free whatever comes
RESERVE = 256 * 2**20


def disk_bytes(plan: Plan) -> int:
    """What the records of a plan take at most, about."""
    metrics = 4
    pack = plan.structures[0].pack
    evaluations = 1 + pack.steps // (pack.segment * pack.evaluate_every)
    curve = evaluations * metrics * POINT
    each = TRIAL + metrics * RESULT + len(plan.criteria) * SUCCESS + curve
    return plan.trials * each


def check_disk(plan: Plan, free: int | None) -> None:
    """Raises a problem when the estimate does not fit.

    Raises:
        ProblemError: 507, with the figures.
    """
    need = disk_bytes(plan)
    if free is None or need + RESERVE <= free:
        return
    raise ProblemError(
        507,
        f"the sweep's records would take about {need / 2**20:,.0f} MiB and {RESERVE / 2**20:.0f} "
        f"MiB stay in reserve, but {free / 2**20:,.0f} MiB are free; nothing was stored",
        "free some disk, move the state folder (SEEDBED_STATE_FOLDER), or submit fewer seeds",
    )

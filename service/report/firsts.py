"""First steps of success, out of the curves of the trials that succeeded at any evaluation."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from service.evidence.curve import decode, first_met
from service.evidence.survival import NEVER
from service.plan import Plan
from service.report.sample import SUCCESS, Sample, Verdict
from service.store.errors import StoreError
from service.store.evidence import success_curves


class CurveError(StoreError):
    """A trial's curve cannot be read, or does not show the success that its best value is."""

    def __init__(self, cell: int, seed: int, why: str) -> None:
        super().__init__(
            f"the evaluation curve of cell {cell}, seed {seed} contradicts its outcome: {why}; a "
            "report prints no time to success that its outcomes contradict",
            "the store was damaged or written by another version: put a backup back, or report "
            "this as a bug",
        )


def first_steps(
    session: Session, sweep: str, plan: Plan, sample: Sample, verdicts: Mapping[int, Verdict]
) -> dict[int, NDArray[np.int32]]:
    """Criterion's index -> (N,) step of each trial's first success, or NEVER.

    Only of criteria judged at any evaluation. Curves of trials that never succeeded stay unread.

    Args:
        verdicts: criterion's index -> what `sample.won` says.

    Raises:
        CurveError: a curve and an outcome contradict each other.
    """
    rules = [rule for rule in plan.criteria if rule.at == "any"]
    found = {rule.index: np.full(sample.trials, NEVER, np.int32) for rule in rules}
    if not rules:
        return found
    # (cell, seed) as one number, in the sample's order
    keys = (sample.cell.astype(np.int64) << 32) + sample.seed
    for cell, seed, blob in success_curves(session, sweep, list(found)):
        row = np.searchsorted(keys, (cell << 32) + seed)
        try:
            curve = decode(blob)
        except ValueError as error:
            raise CurveError(cell, seed, str(error)) from error
        for rule in rules:
            if verdicts[rule.index][row] == SUCCESS:
                step = first_met(curve, rule.metric, rule.comparison, rule.threshold)
                if step is None:
                    raise CurveError(cell, seed, f"{rule.metric} never met {rule.threshold:g}")
                found[rule.index][row] = step
    return found

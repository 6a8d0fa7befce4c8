"""Counts of cells and arms out of the outcomes themselves, and the stored counters against them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.plan import Plan
from service.report.sample import SUCCESS, Sample, Verdict
from service.store.errors import StoreError
from service.store.progress import CellCounts, Progress
from service.store.tables import END_STATES, HAS_OUTCOME

_WITH_OUTCOME = [END_STATES.index(state) for state in HAS_OUTCOME]


class MiscountError(StoreError):
    """A settled counter is not what its outcomes come to: the report would contradict itself."""

    def __init__(self, what: str, counter: int, found: int) -> None:
        super().__init__(
            f"the counter of {what} stands at {counter}, and its outcomes come to {found}; a "
            "report prints no number that its outcomes contradict",
            "the outcomes are whole and the counter is wrong: keep a copy of the store (`seedbed "
            "backup`) and report this as a bug",
        )


@dataclass(frozen=True)
class Counts:
    """Counts of settled trials, of cells (C rows) or of arms.

    Attributes:
        ended: (C, end states) how many ended how.
        won: (C, criteria) how many succeeded.
    """

    ended: NDArray[np.int64]
    won: NDArray[np.int64]

    @property
    def n(self) -> NDArray[np.int64]:
        """(C,) trials with an outcome: the denominators of rates."""
        found: NDArray[np.int64] = self.ended[:, _WITH_OUTCOME].sum(axis=1)
        return found

    def states(self) -> list[dict[str, int]]:
        """Of each row, end state -> trials."""
        return [dict(zip(END_STATES, row, strict=True)) for row in self.ended.tolist()]


def recount(plan: Plan, sample: Sample, verdicts: Sequence[Verdict]) -> Counts:
    """The counts of cells, in order of their index.

    Args:
        verdicts: what `sample.won` says by each criterion.
    """
    cells, kinds = len(plan.cells), len(END_STATES)
    codes = sample.cell.astype(np.int64) * kinds + sample.state
    ended = np.bincount(codes, minlength=cells * kinds).reshape(cells, kinds)
    won = [np.bincount(sample.cell[v == SUCCESS], minlength=cells) for v in verdicts]
    return Counts(ended, np.stack(won, axis=1))


def of_arms(plan: Plan, cells: Counts) -> Counts:
    """The counts of arms, in order of their index."""
    member = np.zeros((len(plan.arms), len(plan.cells)), np.int64)
    for cell in plan.cells:
        member[cell.arm, cell.index] = 1
    return Counts(member @ cells.ended, member @ cells.won)


def check(
    plan: Plan, cells: Counts, arms: Counts, counters: Sequence[CellCounts], now: Progress
) -> None:
    """Compares the settled counters of every cell and arm with the recount.

    Raises:
        MiscountError: one of them differs.
    """
    rules = [f"successes at {c.metric} {c.comparison} {c.threshold:g}" for c in plan.criteria]
    names = [*END_STATES, *rules]
    for c in counters:
        _compare(f"cell {c.cell}", names, [*c.settled.values(), *c.successes], cells, c.cell)
    for arm in plan.arms:
        a = now.arms[arm.index]
        stored = [*a.settled.values(), *a.successes]
        _compare(f"arm {arm.name!r}", names, stored, arms, arm.index)


def _compare(
    where: str, names: Sequence[str], stored: Sequence[int], counts: Counts, row: int
) -> None:
    found = [*counts.ended[row].tolist(), *counts.won[row].tolist()]
    for name, counter, number in zip(names, stored, found, strict=True):
        if counter != number:
            raise MiscountError(f"{name} in {where}", counter, number)

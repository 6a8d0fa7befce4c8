"""More than two arms on the same seeds: which trials form a block, and what the arms show."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence.several import Blocks
from service.plan import Plan
from service.report.sample import NO_OUTCOME, Sample, Verdict

_TWO = 2
#: as many arms as a pattern's bits fit into one number
_MOST = 62


@dataclass(frozen=True)
class Members:
    """(blocks, arms) rows of the sample: trials of one setting and seed, one of every arm."""

    arms: tuple[str, ...]
    rows: NDArray[np.int64]


def members(plan: Plan, sample: Sample) -> Members | None:
    """The blocks of a sweep; None where pairs already say everything."""
    if len(plan.arms) <= _TWO:
        return None
    keys = (sample.setting.astype(np.int64) << 32) + sample.seed
    order = np.lexsort((sample.arm, keys))
    found, starts, sizes = np.unique(keys[order], return_index=True, return_counts=True)
    whole = starts[sizes == len(plan.arms)]
    del found
    rows = order[whole[:, None] + np.arange(len(plan.arms))]
    return Members(tuple(arm.name for arm in plan.arms), rows)


def several(blocks: Members, verdict: Verdict, *, complete: bool) -> dict[str, Any]:
    """Complete blocks, Cochran's Q and every pair of arms with Holm's p; exploratory all of it."""
    won = verdict[blocks.rows]
    won = won[(won != NO_OUTCOME).all(axis=1)] == 1
    found = Blocks(blocks.arms, _patterns(won))
    compared = found.each_pair() if complete else []
    return {
        "blocks": found.n,
        "cochran_q": asdict(found.cochran_q()) if complete else None,
        "pairs": [
            {"arm": c.arm, "against": c.against, "difference": c.pairs.difference}
            | {"p": c.p, "holm": c.holm}
            for c in compared
        ],
    }


def _patterns(won: NDArray[np.bool_]) -> dict[tuple[bool, ...], int]:
    """How many blocks show each pattern: sorted as numbers, which rows would take longer."""
    arms = won.shape[1]
    if arms > _MOST:
        return dict(Blocks.counted([""] * arms, won).patterns)
    bits = np.int64(1) << np.arange(arms)
    codes, counts = np.unique(won @ bits, return_counts=True)
    rows = (codes[:, None] & bits != 0).tolist()
    return {tuple(row): count for row, count in zip(rows, counts.tolist(), strict=True)}

"""More than two arms on the same seeds: which trials form a block, and what the arms show."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence.several import Blocks, Comparison
from service.plan import Plan
from service.report.sample import NO_OUTCOME, SUCCESS, Sample, Verdict

_TWO = 2


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
    _, starts, sizes = np.unique(keys[order], return_index=True, return_counts=True)
    whole = starts[sizes == len(plan.arms)]
    rows = order[whole[:, None] + np.arange(len(plan.arms))]
    return Members(tuple(arm.name for arm in plan.arms), rows)


def several(blocks: Members, verdict: Verdict, *, complete: bool) -> dict[str, Any]:
    """Complete blocks, Cochran's Q and every pair of arms with Holm's p; exploratory all of it."""
    won = verdict[blocks.rows]
    won = won[(won != NO_OUTCOME).all(axis=1)] == SUCCESS
    counted = Blocks.counted(blocks.arms, won)
    return {
        "blocks": len(won),
        "cochran_q": asdict(counted.cochran_q()) if complete else None,
        "pairs": [_shown(c) for c in counted.each_pair()] if complete else [],
    }


def _shown(c: Comparison) -> dict[str, Any]:
    return {
        "arm": c.arm,
        "against": c.against,
        "difference": c.pairs.difference,
        "p": c.p,
        "holm": c.holm,
    }

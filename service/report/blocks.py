"""More than two arms on the same seeds: which trials form a block, and what the arms show."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence.pairs import Pairs
from service.evidence.several import Blocks, holm
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
    return {
        "blocks": len(won),
        "cochran_q": asdict(Blocks.counted(blocks.arms, won).cochran_q()) if complete else None,
        "pairs": _each_pair(blocks.arms, won) if complete else [],
    }


def _each_pair(arms: Sequence[str], won: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Every arm against every earlier one, all tables out of one product (64 arms make 2,016)."""
    ones = won.astype(np.float64)
    both = (ones.T @ ones).astype(np.int64).tolist()
    found: list[dict[str, Any]] = []
    for first, second in itertools.combinations(range(len(arms)), 2):
        common, a, b = both[second][first], both[second][second], both[first][first]
        pairs = Pairs(common, a - common, b - common, len(won) - a - b + common)
        found.append(
            {
                "arm": arms[second],
                "against": arms[first],
                "difference": pairs.difference,
                "p": pairs.mcnemar() if pairs.n else None,
            }
        )
    adjusted = holm([k["p"] for k in found])
    return [k | {"holm": p} for k, p in zip(found, adjusted, strict=True)]

"""An arm of one sweep against an arm of another, on the pairs that the two share."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence import strata
from service.evidence.pairs import Pairs
from service.evidence.rates import Rate
from service.evidence.sequential import ALPHA
from service.evidence.several import holm
from service.plan import Arm, Criterion
from service.report.contrasts import counted
from service.report.declared import UNDECLARED, declared
from service.report.pairing import Pairing, PairTable, table, tables
from service.report.sample import Sample, Verdict, won
from service.report.shared import Shared


@dataclass(frozen=True)
class Column:
    """P settled trials of an arm in shared settings, in order of (setting, seed).

    Attributes:
        keys: (P,) number of the shared setting and seed, as one number; none twice.
        verdicts: of each shared criterion, (P,) what `sample.won` says.
    """

    keys: NDArray[np.int64]
    verdicts: Sequence[Verdict]


def column(sample: Sample, arm: Arm, settings: Sequence[int], rules: Sequence[Criterion]) -> Column:
    """What of a sample a comparison needs: 8 bytes a trial of the arm, and one a criterion.

    Args:
        settings: indices of the shared settings, in the order in which they are numbered.
    """
    most = int(sample.setting.max(initial=0))
    number = np.full(max(most, *settings) + 1, -1, np.int64)
    number[list(settings)] = np.arange(len(settings))
    rows = np.flatnonzero((sample.arm == arm.index) & (number[sample.setting] >= 0))
    keys = (number[sample.setting[rows]] << 32) + sample.seed[rows]
    order = np.argsort(keys, kind="stable")
    rows = rows[order]
    return Column(keys[order], [won(sample, rule)[rows] for rule in rules])


def across(a: Column, b: Column, shared: Shared, *, complete: bool) -> dict[str, Any]:
    """The pairs that are settled in both sweeps, by every shared criterion.

    Args:
        complete: whether both plans are met as they were declared, so that fixed-n intervals and
            tests may be given.
    """
    _, in_a, in_b = np.intersect1d(a.keys, b.keys, assume_unique=True, return_indices=True)
    setting = (a.keys[in_a] >> 32).astype(np.int32)
    pairs = Pairing(in_a, in_b + len(a.keys), setting)
    criteria = []
    for k, (here, there) in enumerate(shared.rules):
        verdict = np.concatenate([a.verdicts[k], b.verdicts[k]])
        counts = table(pairs, verdict)
        fixed: Mapping[str, Any] = UNDECLARED
        if complete:
            grid = tables(pairs, verdict, len(shared.settings)).tolist()
            fixed = _fixed(counts, [Pairs(*row) for row in grid])
        criteria.append(
            {
                "metric": here.metric,
                "comparison": here.comparison,
                "threshold": here.threshold,
                "at": here.at,
                "post_hoc": here.post_hoc or there.post_hoc,
                "exploratory": True,
                "sided": "two",
                **counted(counts, "two", ALPHA),
                **fixed,
            }
        )
    for found, adjusted in zip(criteria, holm([c["p"] for c in criteria]), strict=True):
        found["holm"] = adjusted
    return {"settled_pairs": len(in_a), "criteria": criteria}


def _fixed(counts: PairTable, by_setting: Sequence[Pairs]) -> dict[str, Any]:
    """Fixed-n intervals and tests, and over the settings where there are several."""
    pairs = counts.pairs
    arm = Rate(pairs.both + pairs.only_a + counts.a_won, pairs.n + counts.a_won + counts.a_lost)
    against = Rate(pairs.both + pairs.only_b + counts.b_won, pairs.n + counts.b_won + counts.b_lost)
    grid = None
    if len(by_setting) > 1:
        grid = {"paired": asdict(strata.paired(by_setting, "two"))}
    return declared(counts, arm, against, "two") | {"grid": grid}

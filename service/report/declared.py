"""What a contrast says at the declared number of pairs, and at no other moment."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from service.evidence import strata
from service.evidence.independent import Independent
from service.evidence.pairs import Pairs, Sided
from service.evidence.rates import Rate
from service.evidence.unseen import against_claim
from service.report.pairing import PairTable


def declared(counts: PairTable, arm: Rate, against: Rate, sided: Sided) -> dict[str, Any]:
    """Tests and intervals of fixed-n methods, paired, and as if the arms had other seeds.

    `p_least_favourable` is McNemar's p with missing outcomes filled in as speaks least for a claim.

    Args:
        counts: the pairs, those that miss an outcome too.
        arm, against: of all trials with an outcome, those without a partner too.
    """
    pairs = counts.pairs
    unpaired = Independent(arm, against)
    interval = pairs.interval()
    return {
        "interval": list(interval) if interval else None,
        "p": pairs.mcnemar(sided) if pairs.n else None,
        "p_least_favourable": (
            against_claim(pairs, counts.unseen, sided).mcnemar(sided) if pairs.n else None
        ),
        "mid_p": pairs.mid_p(sided) if pairs.n else None,
        "tango": asdict(pairs.tango()),
        "ratio": asdict(pairs.ratio()),
        "odds_ratio": asdict(pairs.odds_ratio()),
        "unpaired": {
            "difference": asdict(unpaired.difference()),
            "ratio": asdict(unpaired.ratio()),
            "odds_ratio": asdict(unpaired.odds_ratio()),
            "test": asdict(unpaired.score_test(sided)),
        },
    }


#: the same before the plan is met
UNDECLARED = dict.fromkeys(
    (
        "interval",
        "p",
        "p_least_favourable",
        "mid_p",
        "tango",
        "ratio",
        "odds_ratio",
        "unpaired",
        "grid",
    )
)


def over_grid(
    pairs: Sequence[Pairs], arms: Sequence[tuple[Rate, Rate]], sided: Sided
) -> dict[str, Any] | None:
    """Over the settings of a grid: pairs within settings, and Mantel and Haenszel's; None of one.

    Args:
        pairs: of each setting.
        arms: (arm, against) of each setting.
    """
    if len(pairs) < 2:  # noqa: PLR2004 - a grid has more settings than one
        return None
    return {
        "paired": asdict(strata.paired(pairs, sided)),
        "unpaired": asdict(strata.independent([Independent(a, b) for a, b in arms], sided)),
    }

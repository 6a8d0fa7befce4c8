"""A contrast in the findings: the paired table and all that follows from it."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence.pairs import Pairs, Sided, bounds
from service.evidence.sequential import Unseen, anytime
from service.plan import Arm, Criterion, Plan
from service.report.pairing import Pairing, PairTable, table


def contrast(
    plan: Plan,
    rule: Criterion,
    arm: Arm,
    against: Arm,
    pairing: Pairing,
    verdict: NDArray[np.int8],
    *,
    complete: bool,
) -> dict[str, Any]:
    """Paired counts, difference, interval and p (once the plan is complete), phi, bounds.

    Pairs with a missing member are left out of the table and enter the bounds; where the bounds
    allow the other sign, there is no claim.
    """
    counts = table(pairing, verdict)
    pairs = counts.pairs
    primary = plan.contrast is not None and rule.primary and arm.name == plan.contrast.arm
    sided: Sided = plan.contrast.sided if plan.contrast is not None and primary else "two"
    interval = pairs.interval() if complete else None
    limits = bounds(
        pairs,
        a_won=counts.a_won,
        a_lost=counts.a_lost,
        b_won=counts.b_won,
        b_lost=counts.b_lost,
        missing=counts.missing,
    )
    flips = bool(
        limits
        and pairs.difference
        and min(limits[0] * pairs.difference, limits[1] * pairs.difference) < 0
    )
    return {
        "arm": arm.name,
        "against": against.name,
        "primary": primary,
        "exploratory": not primary,
        "table": asdict(pairs),
        "incomplete_pairs": {k: v for k, v in asdict(counts).items() if k not in asdict(pairs)},
        "pairs": pairs.n,
        "difference": pairs.difference,
        "interval": list(interval) if interval else None,
        "p": pairs.mcnemar(sided) if complete and pairs.n else None,
        "sided": sided,
        "effect": plan.contrast.effect if plan.contrast is not None and primary else None,
        "anytime": _anytime(pairs, counts, sided),
        "correlation": pairs.correlation(),
        "bounds": list(limits) if limits else None,
        "bounds_allow_other_sign": flips,
    }


def _anytime(pairs: Pairs, counts: PairTable, sided: Sided) -> dict[str, Any] | None:
    """What holds at any look; None without settled pairs."""
    if not pairs.n:
        return None
    unseen = Unseen(
        for_a=counts.a_won + counts.b_lost + counts.missing,
        for_b=counts.a_lost + counts.b_won + counts.missing,
    )
    found = anytime(pairs, unseen, sided)
    return {"log_e": found.log_e, "p": found.p, "interval": list(found.interval)}

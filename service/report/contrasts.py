"""A contrast in the findings: the paired table and all that follows from it."""

from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from service.evidence.pairs import Pairs, Sided, bounds
from service.evidence.sequential import Unseen, anytime
from service.plan import Arm, Criterion, Plan
from service.store.evidence import PairTable, pair_table


def contrast(
    session: Session,
    sweep: str,
    plan: Plan,
    rule: Criterion,
    arm: Arm,
    against: Arm,
    *,
    complete: bool,
) -> dict[str, Any]:
    """Paired counts, difference, interval and p (once the plan is complete), phi, bounds.

    Pairs with a missing member are left out of the table and enter the bounds; where the bounds
    allow the other sign, there is no claim.
    """
    table = pair_table(session, sweep, rule.index, arm.index, against.index)
    pairs = Pairs(table.both, table.only_a, table.only_b, table.neither)
    primary = plan.contrast is not None and rule.primary and arm.name == plan.contrast.arm
    sided: Sided = plan.contrast.sided if plan.contrast is not None and primary else "two"
    interval = pairs.interval() if complete else None
    limits = bounds(
        pairs,
        a_won=table.a_won,
        a_lost=table.a_lost,
        b_won=table.b_won,
        b_lost=table.b_lost,
        missing=table.missing,
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
        "incomplete_pairs": {k: v for k, v in asdict(table).items() if k not in asdict(pairs)},
        "pairs": pairs.n,
        "difference": pairs.difference,
        "interval": list(interval) if interval else None,
        "p": pairs.mcnemar(sided) if complete and pairs.n else None,
        "sided": sided,
        "effect": plan.contrast.effect if plan.contrast is not None and primary else None,
        "anytime": _anytime(pairs, table, sided),
        "correlation": pairs.correlation(),
        "bounds": list(limits) if limits else None,
        "bounds_allow_other_sign": flips,
    }


def _anytime(pairs: Pairs, table: PairTable, sided: Sided) -> dict[str, Any] | None:
    """What holds at any look; None without settled pairs."""
    if not pairs.n:
        return None
    unseen = Unseen(
        for_a=table.a_won + table.b_lost + table.missing,
        for_b=table.a_lost + table.b_won + table.missing,
    )
    found = anytime(pairs, unseen, sided)
    return {"log_e": found.log_e, "p": found.p, "interval": list(found.interval)}

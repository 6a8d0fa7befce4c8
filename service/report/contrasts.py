"""A contrast in the findings: the paired table and all that follows from it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from service.evidence.pairs import Pairs, Sided, bounds
from service.evidence.rates import Rate
from service.evidence.sequential import ALPHA, anytime
from service.plan import Arm, Criterion, Plan
from service.report.declared import UNDECLARED, declared, over_grid
from service.report.pairing import Pairing, PairTable, table, tables
from service.report.sample import Verdict


@dataclass(frozen=True)
class Compared:
    """An arm against another, and their settled pairs."""

    arm: Arm
    against: Arm
    pairing: Pairing


def contrast(
    plan: Plan,
    rule: Criterion,
    compared: Compared,
    verdict: Verdict,
    settings: Sequence[tuple[Rate, Rate]],
    *,
    complete: bool,
) -> dict[str, Any]:
    """Paired counts, difference, what holds once the plan is complete and at any look, bounds.

    Pairs with a missing member are left out of the table and enter the bounds; where the bounds
    allow the other sign, there is no claim.

    Args:
        settings: the rates of arm and against in each setting, of all trials with an outcome.
    """
    counts = table(compared.pairing, verdict)
    primary = plan.contrast is not None and rule.primary and compared.arm.name == plan.contrast.arm
    sided: Sided = plan.contrast.sided if plan.contrast is not None and primary else "two"
    alpha = plan.stop.alpha if plan.stop is not None and primary else ALPHA
    fixed = UNDECLARED
    if complete:
        by_setting = tables(compared.pairing, verdict, len(plan.settings)).tolist()
        fixed = declared(counts, *_whole(settings), sided) | {
            "grid": over_grid([Pairs(*row) for row in by_setting], settings, sided)
        }
    return {
        "arm": compared.arm.name,
        "against": compared.against.name,
        "primary": primary,
        "exploratory": not primary,
        "sided": sided,
        "effect": plan.contrast.effect if plan.contrast is not None and primary else None,
        **counted(counts, sided, alpha),
        **fixed,
    }


def counted(counts: PairTable, sided: Sided, alpha: float) -> dict[str, Any]:
    """What a paired table says whatever was declared: nothing of it needs a fixed n."""
    pairs = counts.pairs
    saving = pairs.saving()
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
        "table": asdict(pairs),
        "incomplete_pairs": {k: v for k, v in asdict(counts).items() if k not in asdict(pairs)},
        "pairs": pairs.n,
        "difference": pairs.difference,
        "anytime": _anytime(pairs, counts, sided, alpha),
        "correlation": pairs.correlation(),
        "saving": asdict(saving) if saving else None,
        "bounds": list(limits) if limits else None,
        "bounds_allow_other_sign": flips,
        "not_estimable": None if pairs.n else _why(counts),
    }


def _whole(settings: Sequence[tuple[Rate, Rate]]) -> tuple[Rate, Rate]:
    """The rates of both arms over all settings."""
    arms = zip(*settings, strict=True)
    arm, against = (Rate(sum(r.k for r in rs), sum(r.n for r in rs)) for rs in arms)
    return arm, against


def _why(counts: PairTable) -> str:
    missing = sum(v for k, v in asdict(counts).items() if k not in asdict(counts.pairs))
    return f"each of the {missing} pairs misses an outcome" if missing else "no pair is settled"


def _anytime(pairs: Pairs, counts: PairTable, sided: Sided, alpha: float) -> dict[str, Any] | None:
    """What holds at any look, its interval at 1 - alpha; None without settled pairs."""
    if not pairs.n:
        return None
    found = anytime(pairs, counts.unseen, sided, alpha)
    return {
        "log_e": found.log_e,
        "p": found.p,
        "interval": list(found.interval),
        "alpha": alpha,
    }

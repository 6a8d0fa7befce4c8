"""What a plan could show of its primary contrast, if that is as the spec's `power` expects."""

import math
from typing import Any

from service.evidence.expected import ExpectedStop, expected_stop, looks_of
from service.evidence.plan import ALPHA, Design, pairs_for, power
from service.plan import Plan


def power_json(plan: Plan) -> dict[str, Any] | None:
    """Power of the pairs asked for, pairs for that wanted, expected stop; None without `power`.

    Pairs of all settings count together, each at the expected rates: over a grid whose settings
    differ these are the rates' means, and the figures approximate.
    """
    asked, contrast = plan.spec.get("power"), plan.contrast
    if asked is None or contrast is None:
        return None
    alpha = (plan.spec.get("stop") or {}).get("alpha", ALPHA)
    design = Design(asked["baseline"], asked["effect"], asked["correlation"])
    settings, sided = len(plan.settings), contrast.sided
    pairs = plan.seeds * settings
    enough = pairs_for(design, asked["wanted"], sided=sided, alpha=alpha)
    looks = looks_of(plan.seeds, plan.cohort, settings)
    return {
        "arm": contrast.arm,
        "against": contrast.against,
        "sided": sided,
        "alpha": alpha,
        "baseline": design.baseline,
        "rate": round(design.rate, 12),
        "effect": design.effect,
        "correlation": design.correlation,
        "correlation_possible": list(design.feasible()),
        "discordant": design.discordant,
        "pairs": pairs,
        "power": power(design, pairs, sided=sided, alpha=alpha),
        "wanted": asked["wanted"],
        "pairs_wanted": enough,
        "seeds_wanted": None if enough is None else math.ceil(enough / settings),
        "evidence": evidence_json(expected_stop(design, looks, sided=sided, alpha=alpha)),
    }


def evidence_json(found: ExpectedStop) -> dict[str, Any]:
    """The rule "stop at the first cohort with evidence", in pairs."""
    return {
        "decided": found.decided,
        "decided_error": found.decided_error,
        "mean_pairs": found.mean,
        "mean_pairs_error": found.mean_error,
        "median_pairs": found.median,
        "ninety_percent_pairs": found.ninety,
        "saved": found.saved,
        "looks": found.looks,
        "computed": "simulated" if found.decided_error > 0 else "exactly",
    }

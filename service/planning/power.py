"""What a plan could show of its primary contrast, if that is as the spec's `power` expects."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence.expected import ExpectedStop, expected_stop, looks_of
from service.evidence.futility import expected_futility
from service.evidence.plan import ALPHA, Design, pairs_for, power
from service.evidence.stopping import Rule
from service.plan import Plan


def power_json(plan: Plan) -> dict[str, Any] | None:
    """Power of the pairs asked for, pairs for that wanted, expected stop; None without `power`.

    Pairs of all settings count together, each at the expected rates: over a grid whose settings
    differ these are the rates' means, and the figures approximate.
    """
    asked, contrast = plan.spec.get("power"), plan.contrast
    if asked is None or contrast is None:
        return None
    stop = plan.stop
    alpha = ALPHA if stop is None else stop.alpha
    design = Design(asked["baseline"], asked["effect"], asked["correlation"])
    settings, sided = len(plan.settings), contrast.sided
    pairs = plan.seeds * settings
    enough = pairs_for(design, asked["wanted"], sided=sided)
    looks = looks_of(plan.seeds, plan.cohort, settings)
    return {
        "arm": contrast.arm,
        "against": contrast.against,
        "sided": sided,
        "alpha": ALPHA,
        "baseline": design.baseline,
        "rate": round(design.rate, 12),
        "effect": design.effect,
        "correlation": design.correlation,
        "correlation_possible": list(design.feasible()),
        "discordant": design.discordant,
        "pairs": pairs,
        "power": power(design, pairs, sided=sided),
        "wanted": asked["wanted"],
        "pairs_wanted": enough,
        "seeds_wanted": None if enough is None else math.ceil(enough / settings),
        "evidence": {
            "declared": stop is not None and "evidence" in stop.when,
            "alpha": alpha,
            **rule_json(expected_stop(design, looks, sided=sided, alpha=alpha)),
        },
        "futile": None if stop is None else _futile(design, stop, looks),
    }


def _futile(design: Design, stop: Rule, looks: NDArray[np.int64]) -> dict[str, Any] | None:
    """The futility rule, where it is declared, if in truth the arms do not differ."""
    if "futile" not in stop.when or stop.effect is None:
        return None
    found = expected_futility(
        design.baseline,
        design.correlation,
        stop.effect,
        looks,
        sided=stop.sided,
        alpha=stop.alpha,
    )
    return {"declared": True, "alpha": stop.alpha, "effect": stop.effect, **rule_json(found)}


def rule_json(found: ExpectedStop) -> dict[str, Any]:
    """What a stop rule would do, in pairs."""
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

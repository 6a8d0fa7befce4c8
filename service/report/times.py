"""Time to success, where success counts at any evaluation: steps until it first came."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence.prefer import prefer
from service.evidence.sooner import logrank, saved
from service.evidence.survival import NEVER, Times, count_groups
from service.plan import Plan
from service.report.contrasts import Compared
from service.report.sample import Sample

#: points of a survival curve in the findings
_POINTS = 100


def times(
    plan: Plan,
    sample: Sample,
    first: NDArray[np.int32],
    compared: Sequence[Compared],
    *,
    complete: bool,
) -> dict[str, Any]:
    """Survival curves of the arms, and the log-rank test of the contrasts, stratified by setting.

    Args:
        first: (N,) the step of the first success; NEVER where there was none.
    """
    budget = plan.structures[0].pack.steps
    has = sample.has_outcome()
    arm, setting, steps = sample.arm[has], sample.setting[has], first[has]
    wholes = count_groups(arm, steps, len(plan.arms), budget)
    n = len(plan.settings)
    cells = count_groups(arm * n + setting, steps, len(plan.arms) * n, budget)
    settings = [cells[i * n : (i + 1) * n] for i in range(len(plan.arms))]
    column = np.where(first == NEVER, np.nan, first)
    return {
        "budget": budget,
        "arms": [
            {"arm": arm.name} | _arm(wholes[arm.index], complete=complete) for arm in plan.arms
        ],
        "contrasts": [
            _contrast(c, wholes, settings) | _sooner(c, column, has) for c in compared if complete
        ],
    }


def _arm(found: Times, *, complete: bool) -> dict[str, Any]:
    """Descriptive before the plan is met, with intervals once it is."""
    ends = found.restricted_mean_interval() if complete else None
    return {
        "n": found.n,
        "succeeded": found.succeeded,
        "curve": [
            {"step": p.step, "survival": p.survival}
            | ({"low": p.low, "high": p.high} if complete else {"low": None, "high": None})
            for p in found.curve(_POINTS)
        ],
        "band": found.band if complete else None,
        "median": found.median(),
        "median_interval": list(found.median_interval()) if complete and found.n else None,
        "restricted_mean": found.restricted_mean(),
        "restricted_mean_interval": list(ends) if ends else None,
        "not_estimable": None if found.n else "no trial with an outcome is settled",
    }


def _contrast(
    compared: Compared, wholes: Sequence[Times], settings: Sequence[Sequence[Times]]
) -> dict[str, Any]:
    """An exploratory comparison: the primary contrast is of rates.

    Args:
        wholes: times of each arm.
        settings: of each arm, its times in each setting.
    """
    a, b = compared.arm.index, compared.against.index
    gain = saved(wholes[a], wholes[b])
    strata = list(zip(settings[a], settings[b], strict=True))
    return {
        "arm": compared.arm.name,
        "against": compared.against.name,
        "exploratory": True,
        "logrank": asdict(logrank(strata)),
        "steps_saved": None if gain is None else gain[0],
        "steps_saved_interval": None if gain is None else list(gain[1:]),
    }


def _sooner(
    compared: Compared, column: NDArray[np.float64], has: NDArray[np.bool_]
) -> dict[str, Any]:
    """In how many pairs a member succeeded sooner: what the log-rank test makes of pairs."""
    pairs = compared.pairing
    whole = has[pairs.a] & has[pairs.b]
    found = prefer(column[pairs.a[whole]], column[pairs.b[whole]], "lower")
    within = asdict(found) | {"p_sooner": asdict(found.share()), "sign": asdict(found.sign_test())}
    return {"within_pairs": within}

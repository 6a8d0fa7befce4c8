"""Time to success, where success counts at any evaluation: steps until it first came."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence.sooner import logrank, saved
from service.evidence.survival import Times, count
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
    arms = [(arm.name, _of(sample, first, budget, arm=arm.index)) for arm in plan.arms]
    return {
        "budget": budget,
        "arms": [{"arm": name} | _arm(found, complete=complete) for name, found in arms],
        "contrasts": [_contrast(plan, sample, first, c) for c in compared if complete],
    }


def _of(
    sample: Sample, first: NDArray[np.int32], budget: int, *, arm: int, setting: int | None = None
) -> Times:
    here = sample.has_outcome() & (sample.arm == arm)
    if setting is not None:
        here &= sample.setting == setting
    return count(first[here].astype(np.int64), budget)


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
    plan: Plan, sample: Sample, first: NDArray[np.int32], compared: Compared
) -> dict[str, Any]:
    """An exploratory comparison: the primary contrast is of rates."""
    budget = plan.structures[0].pack.steps
    a, b = compared.arm.index, compared.against.index
    strata = [
        (_of(sample, first, budget, arm=a, setting=s), _of(sample, first, budget, arm=b, setting=s))
        for s in range(len(plan.settings))
    ]
    whole = _of(sample, first, budget, arm=a), _of(sample, first, budget, arm=b)
    gain = saved(*whole)
    return {
        "arm": compared.arm.name,
        "against": compared.against.name,
        "exploratory": True,
        "logrank": asdict(logrank(strata)),
        "steps_saved": None if gain is None else gain[0],
        "steps_saved_interval": None if gain is None else list(gain[1:]),
    }

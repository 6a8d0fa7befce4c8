"""Two arms' times to success: the log-rank test, and the difference of restricted means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from service.evidence.pairs import Sided
from service.evidence.survival import Times


@dataclass(frozen=True)
class LogRank:
    """The log-rank test of arm a against arm b.

    Attributes:
        observed: first successes of arm a.
        expected: what they would be if both arms succeeded at the same pace.
        z: above 0 where arm a succeeds sooner; its square is the usual chi-squared.
        p: normal approximation; None where there is nothing to test.
        reason: why p is None; else empty.
    """

    observed: int
    expected: float
    z: float | None
    p: float | None
    reason: str = ""


def logrank(strata: Sequence[tuple[Times, Times]], sided: Sided = "two") -> LogRank:
    """The stratified log-rank test over (arm a, arm b) of each stratum.

    Mantel 1966, Cancer Chemotherapy Reports 50:163, with the hypergeometric variance, which is that
    of tied steps: a Mantel-Haenszel test of a table a step. Settings are the strata of a grid. It
    takes the arms of a stratum as independent samples, so the pairing is not used: where seeds help
    both arms alike it is conservative. With each pair as a stratum it is the sign test of which
    member succeeded first, which `service.evidence.prefer` gives exactly.

    Args:
        strata: times of both arms, on the same budget.
        sided: "greater" asks whether a succeeds sooner.
    """
    observed, expected, variance = 0, [0.0], [0.0]
    for a, b in strata:
        steps = np.union1d(a.steps, b.steps).astype(np.int64)
        if not len(steps):
            continue
        events_a, at_risk_a = _by_step(a, steps)
        events_b, at_risk_b = _by_step(b, steps)
        events, at_risk = events_a + events_b, at_risk_a + at_risk_b
        share = at_risk_a / at_risk
        observed += a.succeeded
        expected += (events * share).tolist()
        left = (at_risk - events) / np.maximum(at_risk - 1, 1)
        variance += (events * share * (1 - share) * left).tolist()
    mean, spread = math.fsum(expected), math.fsum(variance)
    if spread == 0:
        why = "no step at which either arm might have succeeded before the other"
        return LogRank(observed, mean, None, None, why)
    z = (observed - mean) / math.sqrt(spread)
    tail = {"two": 2 * norm.sf(abs(z)), "greater": norm.sf(z), "less": norm.sf(-z)}[sided]
    return LogRank(observed, mean, z, float(tail))


def _by_step(times: Times, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K,) events at these steps, and (K,) trials that had not succeeded before each."""
    events = np.zeros(len(steps), np.int64)
    events[np.searchsorted(steps, times.steps)] = times.events
    return events, times.n - np.cumsum(events) + events


def saved(a: Times, b: Times) -> tuple[float, float, float] | None:
    """Steps that arm a needs less than arm b, up to the budget: the difference of restricted means.

    Returns the difference b - a, above 0 where a succeeds sooner, and its 95 % interval: the two
    arms' intervals squared and added (Newcombe 1998, Statistics in Medicine 17:873; Zou & Donner
    2008, Statistics in Medicine 27:1693), as if they were independent; None where an arm is empty.

    Raises:
        ValueError: the arms have other budgets.
    """
    if a.budget != b.budget:
        raise ValueError(
            f"budgets of {a.budget} and {b.budget} steps; restricted means are compared up to the "
            "same step; compare sweeps of one budget"
        )
    mean_a, mean_b = a.restricted_mean(), b.restricted_mean()
    ends_a, ends_b = a.restricted_mean_interval(), b.restricted_mean_interval()
    if mean_a is None or mean_b is None or ends_a is None or ends_b is None:
        return None
    low = math.hypot(mean_b - ends_b[0], ends_a[1] - mean_a)
    high = math.hypot(ends_b[1] - mean_b, mean_a - ends_a[0])
    found = mean_b - mean_a
    return found, found - low, found + high

"""Stop, extend, stop again: the evidence rule may be asked at every look, a fixed-n test not.

A user who wants a result plans so many pairs, looks when they are done, and extends the sweep while
it looks promising; after a stop he extends it too, and looks again. Nothing here is known in
advance but the rule. The arms succeed equally often, or differ by what the intervals must hold.
"""

import math
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from service.evidence.pairs import Pairs
from service.evidence.sequential import log_e_difference, log_e_paired
from service.evidence.stopping import Rule, verdict
from service.evidence.unseen import Unseen

ALPHA = 0.05
RUNS, COHORT, PLANNED, EXTENSIONS = 500, 50, 300, 7
MOST = PLANNED * (1 + EXTENSIONS)
#: four standard errors of a share of 5 % in so many runs
SLACK = 4 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5


def looks(rng: np.random.Generator, only_a: float, only_b: float) -> NDArray[np.int64]:
    """(runs, cohorts, 4) paired tables after each cohort; 10 % of pairs succeed in both arms."""
    shares = [0.1, only_a, only_b, 0.9 - only_a - only_b]
    return rng.multinomial(COHORT, shares, size=(RUNS, MOST // COHORT)).cumsum(axis=1)


@cache
def evidence(only_a: int, only_b: int) -> bool:
    """The stop rule of the service, `stop: {when: evidence}`, at this look."""
    rule = Rule(("evidence",), ALPHA, "two", None)
    return verdict(rule, Pairs(0, only_a, only_b, 1), Unseen()) == "evidence"


@cache
def fixed_n(fewer: int, more: int) -> float:
    """The exact test's p as if this number of pairs had been planned."""
    return Pairs(0, fewer, more, 0).mcnemar()


def claims(tables: NDArray[np.int64], naive: bool) -> tuple[bool, bool, bool]:
    """Whether a run claims a difference at its first stop, by its last extension, and ever.

    The rule is asked after every cohort, the naive version only where a plan is complete. While the
    fixed-n p is above 0.8 at the end of a plan the user gives up, else he extends; after a claim he
    extends as well, so that the third is of a sweep that went on to its last possible pair.
    """
    first = extended = ever = False
    gave_up = False
    for i, (_, a, b, _) in enumerate(tables.tolist(), 1):
        complete = i * COHORT % PLANNED == 0
        p = fixed_n(min(a, b), max(a, b)) if complete else 1.0
        claim = p <= ALPHA if naive else evidence(a, b)
        first |= claim and i * COHORT <= PLANNED
        extended |= claim and not gave_up
        ever |= claim
        gave_up |= complete and p > 0.8
    return first, extended, ever


def test_the_rule_keeps_alpha_through_every_extension_and_fixed_n_does_not() -> None:
    """Stopped, extended while promising, extended always: each is one user's false positives."""
    tables = looks(np.random.default_rng(52), 0.15, 0.15)
    ours, naive = (
        np.mean([claims(run, naive=naive) for run in tables], axis=0) for naive in (False, True)
    )
    assert (ours <= ALPHA).all(), ours
    assert naive[0] <= ALPHA + SLACK, naive  # planned once, it is sound
    assert (naive[1:] > ALPHA + SLACK).all(), naive


@pytest.mark.parametrize(("only_a", "only_b"), [(0.15, 0.15), (0.17, 0.12), (0.05, 0.01)])
def test_intervals_hold_where_a_sweep_was_stopped_on_its_evidence(
    only_a: float, only_b: float
) -> None:
    """At all stops at once: the first on evidence, and the end of every extension."""
    runs = 200
    tables = looks(np.random.default_rng(53), only_a, only_b)[:runs]
    missed = np.zeros(2)
    for run in tables.tolist():
        ours = naive = stopped = False
        for i, row in enumerate(run, 1):
            stops = not stopped and evidence(row[1], row[2])
            stopped |= stops
            if not stops and i * COHORT % PLANNED:
                continue
            pairs = Pairs(*row)
            ours |= log_e_difference(pairs, only_a - only_b) >= -math.log(ALPHA)
            low, high = pairs.interval() or (0.0, 0.0)
            naive |= not low <= only_a - only_b <= high
        missed += [ours, naive]
    ours_missed, naive_missed = missed / runs
    assert ours_missed <= ALPHA
    assert naive_missed > 0.1


def test_the_rules_false_positives_are_at_most_alpha_by_exact_sums() -> None:
    """Looked at after every one of 2,000 discordant pairs; no simulation.

    The chance of each count that has not yet led to a claim, pair by pair; beside it the same for
    the exact test as if each moment had been planned.
    """
    limit, pairs = -math.log(ALPHA), 2000
    ours, naive = np.zeros(pairs + 2), np.zeros(pairs + 2)
    ours[0] = naive[0] = 1.0
    critical = {"ours": 0, "naive": 0}  # the largest minority that still is a claim, minus 1
    for n in range(1, pairs + 1):
        for name, chances in (("ours", ours), ("naive", naive)):
            chances[1 : n + 1] = (chances[1 : n + 1] + chances[:n]) / 2
            chances[0] /= 2
            k = critical[name]
            while _claims(name, k, n, limit):
                k += 1
            critical[name] = k
            chances[:k] = 0
            chances[n - k + 1 : n + 1] = 0
    assert 0.01 < 1 - ours.sum() <= ALPHA
    assert 1 - naive.sum() > 0.25


def _claims(name: str, minority: int, n: int, limit: float) -> bool:
    if 2 * minority > n:
        return False
    if name == "ours":
        return log_e_paired(minority, n - minority) >= limit
    return Pairs(0, minority, n - minority, 0).mcnemar() <= ALPHA


def test_a_sweep_that_would_reach_its_effect_is_seldom_called_futile_at_any_look() -> None:
    """The difference is what was planned; stopping once Newcombe's interval ends below it fails."""
    effect, runs = 0.05, 80
    rule = Rule(("futile",), ALPHA, "greater", effect)
    tables = looks(np.random.default_rng(55), 0.15, 0.10)[:runs, 3::4]
    stops = np.zeros(2)
    for run in tables.tolist():
        pairs = [Pairs(*row) for row in run]
        stops += [
            any(verdict(rule, p, Unseen()) == "futile" for p in pairs),
            any((p.interval() or (0.0, 1.0))[1] < effect for p in pairs),
        ]
    ours, naive = stops / runs
    assert ours <= ALPHA
    assert naive > 2 * ALPHA

"""The log-rank test against exact rational arithmetic, scipy, lifelines and statsmodels."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from service.evidence.sooner import logrank, saved
from service.evidence.survival import NEVER, Times, count

BUDGET = 24
firsts = st.lists(st.sampled_from([NEVER, 1, 2, 3, 10, 24]), max_size=25)


def times(first: list[int] | np.ndarray) -> Times:
    return count(np.array(first, np.int64), BUDGET)


def exact(strata: list[tuple[list[int], list[int]]]) -> tuple[Fraction, Fraction]:
    """Observed less expected successes of a, and its variance, of rows and as rational numbers."""
    gap, variance = Fraction(0), Fraction(0)
    for a, b in strata:
        for step in {*a, *b} - {NEVER}:
            risk_a, risk_b = (sum(f == NEVER or f >= step for f in x) for x in (a, b))
            events_a, events_b = a.count(step), b.count(step)
            risk, events = risk_a + risk_b, events_a + events_b
            gap += events_a - Fraction(events * risk_a, risk)
            if risk > 1:
                variance += Fraction(
                    events * risk_a * risk_b * (risk - events), risk * risk * (risk - 1)
                )
    return gap, variance


@settings(deadline=None)
@given(st.lists(st.tuples(firsts, firsts), max_size=4))
def test_it_is_the_rational_number(strata: list[tuple[list[int], list[int]]]) -> None:
    gap, variance = exact(strata)
    found = logrank([(times(a), times(b)) for a, b in strata])
    assert found.observed - found.expected == pytest.approx(float(gap), abs=1e-10)
    if variance == 0:
        assert (found.z, found.p) == (None, None)
        assert found.reason
        return
    assert found.z == pytest.approx(float(gap) / math.sqrt(variance), abs=1e-10)


def drawn(seed: int, n: int, success: float, until: int = BUDGET) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < success, rng.integers(1, until + 1, n), NEVER)


def rows(first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(durations, events) as the libraries take them."""
    return np.where(first == NEVER, BUDGET, first), first != NEVER


def test_it_is_that_of_scipy_and_lifelines() -> None:
    from lifelines.statistics import logrank_test  # noqa: PLC0415

    for seed, success in enumerate((0.1, 0.5, 0.95)):
        a, b = drawn(seed, 80, success, 12), drawn(seed + 10, 120, success)
        found = logrank([(times(a), times(b))])
        (steps_a, won_a), (steps_b, won_b) = rows(a), rows(b)
        with warnings.catch_warnings():  # lifelines 0.30 calls pandas 3 as pandas 4 will not allow
            warnings.simplefilter("ignore")
            theirs = logrank_test(steps_a, steps_b, won_a, won_b)
        assert found.z is not None
        assert found.z**2 == pytest.approx(theirs.test_statistic, rel=1e-9)
        assert found.p == pytest.approx(theirs.p_value, rel=1e-9)
        x, y = (
            stats.CensoredData.right_censored(steps, ~won)
            for steps, won in ((steps_a, won_a), (steps_b, won_b))
        )
        scipys = stats.logrank(x, y)
        assert found.z == pytest.approx(scipys.statistic, rel=1e-9)
        assert found.p == pytest.approx(scipys.pvalue, rel=1e-9)
        for sided in ("greater", "less"):
            one = logrank([(times(a), times(b))], sided)
            assert one.p == pytest.approx(stats.logrank(x, y, alternative=sided).pvalue, rel=1e-9)


def test_stratified_by_setting_it_is_that_of_statsmodels() -> None:
    from statsmodels.duration.survfunc import survdiff  # noqa: PLC0415

    arms = [(drawn(i, 40, 0.2 + 0.2 * i, 12), drawn(i + 10, 30, 0.2 + 0.2 * i)) for i in range(4)]
    found = logrank([(times(a), times(b)) for a, b in arms])
    long = [(*rows(x), g, s) for s, pair in enumerate(arms) for g, x in enumerate(pair)]
    steps, won = (np.concatenate([entry[i] for entry in long]) for i in range(2))
    group, strata = (np.repeat([e[i] for e in long], [len(e[0]) for e in long]) for i in (2, 3))
    chi2, p = survdiff(steps, won, group, strata=strata)
    assert found.z is not None
    assert found.z**2 == pytest.approx(chi2, rel=1e-9)
    assert found.p == pytest.approx(p, rel=1e-9)


def test_stratified_by_pair_it_is_the_sign_test_of_who_was_first() -> None:
    a, b = drawn(1, 300, 0.5, 12), drawn(2, 300, 0.5)
    found = logrank([(times([x]), times([y])) for x, y in zip(a, b, strict=True)])
    (steps_a, won_a), (steps_b, won_b) = rows(a), rows(b)
    rank_a, rank_b = steps_a + ~won_a, steps_b + ~won_b  # never comes after the budget
    first_a, first_b = (rank_a < rank_b).sum(), (rank_b < rank_a).sum()
    assert found.z == pytest.approx((first_a - first_b) / math.sqrt(first_a + first_b), rel=1e-9)


@settings(deadline=None)
@given(firsts, firsts)
def test_swapping_the_arms_mirrors_it(a: list[int], b: list[int]) -> None:
    one, other = logrank([(times(a), times(b))]), logrank([(times(b), times(a))])
    if one.z is None:
        assert other.z is None
        return
    assert other.z == pytest.approx(-one.z, abs=1e-9)
    assert other.p == pytest.approx(one.p, abs=1e-9)


def test_steps_saved_are_the_area_between_the_curves() -> None:
    a, b = times([1, 2, NEVER, NEVER]), times([10, NEVER, NEVER, NEVER])
    found = saved(a, b)
    assert found is not None
    difference, low, high = found
    assert difference == pytest.approx((23 + 22 - 14) / 4)
    assert low < difference < high
    assert saved(b, a) == pytest.approx((-difference, -high, -low))
    assert saved(times([]), a) is None
    with pytest.raises(ValueError, match="budgets of 24 and 30 steps"):
        saved(a, Times(3, 30, (), ()))


def test_the_interval_of_steps_saved_holds_them() -> None:
    """Against the truth of two arms that succeed at 30 % and 5 %, uniformly over the budget."""
    rng, runs, n = np.random.default_rng(3), 1000, 200
    held = 0
    for _ in range(runs):
        a, b = (
            times(np.where(rng.random(n) < rate, rng.integers(1, BUDGET + 1, n), NEVER))
            for rate in (0.3, 0.05)
        )
        _, low, high = saved(a, b) or (0.0, 1.0, 0.0)
        held += low <= (0.3 - 0.05) * (BUDGET - 1) / 2 <= high
    assert held >= 0.95 * runs

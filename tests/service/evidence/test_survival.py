"""Time to success: published values, two second implementations, and what the intervals hold."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from service.evidence.rates import Rate
from service.evidence.survival import NEVER, Times, count, count_groups, wilson_of_mean
from service.evidence.values import dkw

# Freireich et al. 1963, Blood 21:699: weeks of remission of the 21 patients on placebo
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
BUDGET = 24

firsts = st.lists(st.sampled_from([NEVER, 1, 2, 3, 10, 11, 24]), max_size=40)


def times(first: list[int]) -> Times:
    return count(np.array(first, np.int64), BUDGET)


def test_the_curve_has_its_published_values() -> None:
    """Kleinbaum & Klein 2012, Survival Analysis, table of group 2 in chapter 2; mean 8.7."""
    found = {p.step: p.survival for p in times(PLACEBO).curve()}
    published = {
        0: 1.0, 1: 0.90, 2: 0.81, 3: 0.76, 4: 0.67, 5: 0.57, 8: 0.38, 11: 0.29, 12: 0.19,
        15: 0.14, 17: 0.10, 22: 0.05, 23: 0.00, 24: 0.00,
    }  # fmt: skip
    assert found == pytest.approx(published, abs=0.0051)
    assert times(PLACEBO).median() == 8
    assert times(PLACEBO).restricted_mean() == pytest.approx(8.7, abs=0.05)


@settings(deadline=None)
@given(firsts.filter(bool))
def test_the_curve_is_kaplan_and_meiers_by_scipy(first: list[int]) -> None:
    """Its product is multiplied out; ours is exact counts."""
    sample = stats.CensoredData.right_censored(
        [BUDGET if f == NEVER else f for f in first], [f == NEVER for f in first]
    )
    scipys = stats.ecdf(sample).sf
    points = times(first).curve()
    assert [p.step for p in points] == sorted({0, BUDGET, *(f for f in first if f != NEVER)})
    for p in points:
        assert p.survival == pytest.approx(float(scipys.evaluate(p.step)), abs=1e-12)
        assert (p.low, p.high) == Rate(round(p.survival * len(first)), len(first)).wilson()
    assert 1 - points[-1].survival == pytest.approx(times(first).succeeded / len(first))


def test_median_and_restricted_mean_are_those_of_lifelines() -> None:
    from lifelines import KaplanMeierFitter  # noqa: PLC0415
    from lifelines.utils import restricted_mean_survival_time  # noqa: PLC0415

    rng = np.random.default_rng(8)
    for success in (0.2, 0.5, 0.9):
        first = np.where(rng.random(301) < success, rng.integers(1, BUDGET + 1, 301), NEVER)
        fitted = KaplanMeierFitter().fit(np.where(first == NEVER, BUDGET, first), first != NEVER)
        found = count(first, BUDGET)
        theirs = fitted.median_survival_time_
        assert found.median() == (None if np.isinf(theirs) else theirs)
        mean = restricted_mean_survival_time(fitted, t=BUDGET)
        assert found.restricted_mean() == pytest.approx(mean, abs=1e-9)


def test_a_trial_that_diverged_stays_at_risk_and_never_succeeds() -> None:
    """Censoring it at its last step would raise the rate; here the rate is the success rate."""
    found = times([1, 2, NEVER, NEVER])
    assert found.curve()[-1].survival == 0.5
    assert found.succeeded / found.n == 0.5


def test_an_empty_arm_is_not_estimable() -> None:
    found = times([])
    assert (found.curve(), found.band, found.median()) == ((), None, None)
    assert found.median_interval() == (0, None)
    assert (found.restricted_mean(), found.restricted_mean_interval()) == (None, None)


def test_an_arm_without_success_is_not_known_to_be_without() -> None:
    found = times([NEVER] * 100)
    assert found.restricted_mean() == BUDGET
    low, high = found.restricted_mean_interval() or (0, 0)
    assert high == BUDGET
    assert low == pytest.approx(BUDGET * (1 - 0.0370), abs=0.002)  # Wilson's of 0 of 100
    assert found.median_interval() == (BUDGET, None)


@pytest.mark.parametrize("success", [0.3, 0.55, 0.9])
def test_the_medians_interval_holds_it_by_exact_sums(success: float) -> None:
    """Over all counts of trials that succeeded by each of three steps, at n from 1 to 30.

    With `success` the share that ever succeeds; the median is never where fewer than half do.
    """
    shares = np.array([0.2, 0.35, 0.45]) * success
    steps, reached = (3, 9, 20), np.cumsum(shares)
    truth = next((s for s, r in zip(steps, reached, strict=True) if r >= 0.5), None)
    for n in (1, 5, 6, 12, 30):
        held = 0.0
        for k in product(range(n + 1), repeat=3):
            if sum(k) > n:
                continue
            ways = comb(n, k[0]) * comb(n - k[0], k[1]) * comb(n - k[0] - k[1], k[2])
            chance = ways * float(np.prod(shares ** np.array(k))) * (1 - success) ** (n - sum(k))
            some = [(s, c) for s, c in zip(steps, k, strict=True) if c]
            found = Times(n, BUDGET, tuple(s for s, _ in some), tuple(c for _, c in some))
            low, high = found.median_interval()
            below = low <= (BUDGET if truth is None else truth)
            held += chance * (below and (high is None or (truth is not None and truth <= high)))
        assert held >= 0.95


@pytest.mark.parametrize("late", [0.0, 0.8])
@pytest.mark.parametrize("rate", [0.004, 0.05, 0.3, 0.95])
def test_the_restricted_means_interval_holds_it_and_the_normal_one_does_not(
    rate: float, late: float
) -> None:
    """At low rates the sample's variance is that of the few successes there are, or 0."""
    rng, runs, n, budget = np.random.default_rng(9), 2000, 300, 1000
    truth = budget * (1 - rate * (1 - late) / 2)
    step = np.ceil(budget * (late + (1 - late) * rng.random((runs, n))) - 0.5).clip(1)
    lasted = np.where(rng.random((runs, n)) < rate, step, budget)
    means = lasted.mean(axis=1)
    ends = [wilson_of_mean(m, n) for m in 1 - means / budget]
    ours = np.mean([budget * (1 - b) <= truth <= budget * (1 - a) for a, b in ends])
    half = 1.96 * lasted.std(axis=1, ddof=1) / np.sqrt(n)
    normal = np.mean(abs(means - truth) <= half)
    assert ours >= 0.945
    if rate == 0.004:
        assert normal < 0.85


def test_wilson_of_a_mean_is_wilsons_where_values_are_counts() -> None:
    for k, n in ((0, 7), (3, 10), (28, 7290), (7290, 7290)):
        assert wilson_of_mean(k / n, n) == pytest.approx(Rate(k, n).wilson(), abs=1e-14)


def test_groups_are_counted_at_once_as_they_are_one_by_one() -> None:
    rng = np.random.default_rng(1)
    group = rng.integers(0, 50, 400).astype(np.int32)
    first = rng.choice([NEVER, 1, 7, BUDGET], 400).astype(np.int32)
    found = count_groups(group, first, 52, BUDGET)
    assert found == [count(first[group == g], BUDGET) for g in range(52)]
    assert found[51] == times([])


@pytest.mark.parametrize("step", [0, -2, BUDGET + 1])
def test_a_first_step_outside_the_budget_is_refused(step: int) -> None:
    with pytest.raises(ValueError, match=f"at step {step} within 24"):
        times([3, step, NEVER])


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    steps = tuple(range(10, 100_010, 10))
    found = Times(20_000, 200_000, steps, (1,) * 10_000)
    points = found.curve(200)
    assert len(points) == 200
    assert (points[0].step, points[-1].step) == (0, 200_000)
    assert points[-1].survival == 0.5
    assert found.median() == 100_000
    assert found.band == dkw(20_000)


@pytest.mark.parametrize(
    ("steps", "events", "said"),
    [
        ((0,), (1,), "from 1 to the budget"),
        ((25,), (1,), "from 1 to the budget"),
        ((3, 3), (1, 1), "from 1 to the budget"),
        ((3, 4), (1,), "1 or more each"),
        ((3,), (0,), "1 or more each"),
        ((3,), (6,), "at most one each"),
    ],
)
def test_times_that_cannot_be_are_refused(
    steps: tuple[int, ...], events: tuple[int, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Times(5, BUDGET, steps, events)

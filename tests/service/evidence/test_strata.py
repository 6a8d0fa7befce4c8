"""Over a grid: published values, exact expectations, statsmodels, and empty or silent settings."""

import time
from fractions import Fraction
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2_contingency
from statsmodels.stats.contingency_tables import StratifiedTable

from service.evidence import strata
from service.evidence.independent import Independent
from service.evidence.pairs import Pairs
from service.evidence.rates import Rate


def arms(k1: int, n1: int, k2: int, n2: int) -> Independent:
    return Independent(Rate(k1, n1), Rate(k2, n2))


#: Doll & Hill 1950 as in Fagerland, Lydersen & Laake 2017, chapter 10: men, women
DOLL_HILL = [arms(647, 1269, 2, 29), arms(41, 69, 19, 51)]

rate = st.integers(0, 30).flatmap(lambda n: st.builds(Rate, st.integers(0, n), st.just(n)))
grids = st.lists(st.builds(Independent, rate, rate), max_size=12)
count = st.integers(0, 8)
paired_grids = st.lists(st.builds(Pairs, count, count, count, count), max_size=12)


def test_the_common_odds_ratio_and_its_homogeneity_have_their_published_values() -> None:
    """4.5239, and Breslow-Day 5.175 with P = 0.02292 (there without Tarone's term)."""
    found = strata.independent(DOLL_HILL)
    assert found.odds_ratio.value == pytest.approx(4.5239, abs=5.1e-5)
    assert found.homogeneity.p == pytest.approx(0.02292, abs=3e-4)
    assert found.homogeneity.statistic == pytest.approx(5.175, abs=2e-2)


def tables(grid: list[Independent]) -> np.ndarray:
    return np.array(
        [[[s.a.k for s in grid], [s.a.n - s.a.k for s in grid]],
         [[s.b.k for s in grid], [s.b.n - s.b.k for s in grid]]], dtype=float
    )  # fmt: skip


def test_odds_ratio_test_and_homogeneity_are_statsmodels_where_it_has_them() -> None:
    rng = np.random.default_rng(1)
    grid = [
        arms(int(rng.binomial(40, p)), 40, int(rng.binomial(30, p / 2)), 30)
        for p in rng.uniform(0.2, 0.8, 25)
    ]
    second, found = StratifiedTable(tables(grid)), strata.independent(grid)
    assert found.odds_ratio.value == pytest.approx(second.oddsratio_pooled, rel=1e-9)
    assert found.odds_ratio.interval == pytest.approx(second.oddsratio_pooled_confint(), rel=1e-9)
    tarone = second.test_equal_odds(adjust=True)
    assert found.homogeneity.statistic == pytest.approx(tarone.statistic, rel=1e-6)
    assert found.homogeneity.p == pytest.approx(tarone.pvalue, rel=1e-6)
    null = second.test_null_odds()
    assert found.test.statistic is not None
    assert found.test.statistic**2 == pytest.approx(null.statistic, rel=1e-9)
    assert found.test.p == pytest.approx(null.pvalue, rel=1e-6)


def test_the_mantel_haenszel_test_is_one_sided_where_one_side_was_declared() -> None:
    """Doll & Hill: arm a succeeds more often, so "greater" has half the two-sided p."""
    two = strata.independent(DOLL_HILL).test.p
    greater = strata.independent(DOLL_HILL, "greater").test
    less = strata.independent(DOLL_HILL, "less").test.p
    assert two is not None
    assert less is not None
    assert greater.statistic is not None
    assert greater.statistic > 0
    assert greater.p == pytest.approx(two / 2, rel=1e-12)
    assert less == pytest.approx(1 - two / 2, rel=1e-12)
    mirrored = [Independent(s.b, s.a) for s in DOLL_HILL]
    assert strata.independent(mirrored, "less").test.p == pytest.approx(greater.p, rel=1e-9)


def test_homogeneity_at_a_common_odds_ratio_of_exactly_1() -> None:
    """There statsmodels divides by zero; the expected counts are those of independence."""
    grid = [arms(6, 10, 4, 10), arms(4, 10, 6, 10)]
    found = strata.independent(grid)
    assert found.odds_ratio.value == pytest.approx(1.0)
    variance = 1 / (4 / 5)
    assert found.homogeneity.statistic == pytest.approx(2 * 1 / variance)


def test_satos_variance_is_right_on_average() -> None:
    """By exact enumeration in fractions: E[d P + Q] is the variance of a setting's contrast."""
    p1, p2 = Fraction(1, 3), Fraction(1, 10)
    d = p1 - p2
    for n1, n2 in ((1, 1), (2, 5), (6, 3)):
        n = n1 + n2
        mean = Fraction(0)
        for a in range(n1 + 1):
            for b in range(n2 + 1):
                chance = (
                    comb(n1, a) * p1**a * (1 - p1) ** (n1 - a)
                    * comb(n2, b) * p2**b * (1 - p2) ** (n2 - b)
                )  # fmt: skip
                p = Fraction(2 * (n1**2 * b - n2**2 * a) + n1 * n2 * (n2 - n1), 2 * n**2)
                q = Fraction(a * (n2 - b) + b * (n1 - a), 2 * n)
                mean += chance * (d * p + q)
        weight = Fraction(n1 * n2, n)
        assert mean == weight**2 * (p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2)


def test_the_common_difference_is_the_weighted_mean_with_satos_interval() -> None:
    """The same in whole fractions, over settings of unequal sizes."""
    grid = [(7, 20, 3, 25), (1, 5, 2, 4), (30, 40, 20, 35), (0, 3, 0, 9)]
    weight = sum(Fraction(n1 * n2, n1 + n2) for _, n1, _, n2 in grid)
    value = sum(Fraction(a * n2 - b * n1, n1 + n2) for a, n1, b, n2 in grid) / weight
    total = Fraction(0)
    for a, n1, b, n2 in grid:
        n = n1 + n2
        total += value * (
            Fraction(n1**2 * b - n2**2 * a, n**2) + Fraction(n1 * n2 * (n2 - n1), 2 * n**2)
        )
        total += Fraction(a * (n2 - b) + b * (n1 - a), 2 * n)
    half = 1.959963984540054 * sqrt(total / weight**2)
    found = strata.independent([arms(*row) for row in grid]).difference
    assert found.value == pytest.approx(float(value), rel=1e-12)
    assert found.interval == pytest.approx((float(value) - half, float(value) + half), rel=1e-9)


def test_satos_interval_covers_its_share_over_many_small_settings() -> None:
    """100 settings of 10 and 10, rates between 2 and 60 %, one difference; 2,000 draws."""
    rng = np.random.default_rng(5)
    base = np.linspace(0.02, 0.6, 100)
    covered = 0
    for _ in range(2000):
        k2, k1 = rng.binomial(10, base), rng.binomial(10, base + 0.05)
        n = np.full(100, 10.0)
        found = strata._sato(k1.astype(float), n, k2.astype(float), n).interval
        assert found is not None
        covered += found[0] <= 0.05 <= found[1]
    assert 0.935 <= covered / 2000 <= 0.965


@given(grids)
def test_settings_that_are_empty_or_silent_change_no_odds_ratio(grid: list[Independent]) -> None:
    extra = [arms(0, 0, 3, 5), arms(0, 4, 0, 7), arms(6, 6, 2, 2), arms(0, 0, 0, 0)]
    here, there = strata.independent(grid), strata.independent([*extra, *grid])
    assert here.odds_ratio == there.odds_ratio
    assert here.homogeneity == there.homogeneity
    assert here.test == there.test
    assert there.settings == here.settings + 2


@given(grids)
def test_swapping_the_arms_mirrors_a_grid(grid: list[Independent]) -> None:
    here = strata.independent(grid)
    there = strata.independent([Independent(s.b, s.a) for s in grid])
    if here.difference.value is not None:
        assert here.difference.value == pytest.approx(-there.difference.value, abs=1e-12)
        assert -1 <= here.difference.value <= 1
    if here.odds_ratio.interval and there.odds_ratio.interval:
        low, high = there.odds_ratio.interval
        assert here.odds_ratio.interval == pytest.approx((1 / high, 1 / low), rel=1e-6)
    if here.homogeneity.p is not None and there.homogeneity.p is not None:
        assert here.homogeneity.p == pytest.approx(there.homogeneity.p, rel=1e-6, abs=1e-9)
    assert (here.test.p is None) == (there.test.p is None)


def test_grids_in_which_nothing_can_be_said_say_why() -> None:
    for grid in ([], [arms(0, 0, 1, 2)]):
        found = strata.independent(grid)
        assert found.difference.value is None
        assert "no setting has trials in both arms" in found.difference.reason
        assert found.odds_ratio.value is found.test.p is found.homogeneity.p is None
    silent = strata.independent([arms(0, 9, 0, 9), arms(0, 4, 0, 4)])
    assert silent.difference.value == 0.0
    assert silent.difference.interval is None
    assert silent.difference.reason
    assert "both successes and failures" in silent.odds_ratio.reason
    one_sided = strata.independent([arms(3, 9, 0, 9), arms(1, 4, 0, 4)])
    assert one_sided.odds_ratio.value is None
    assert one_sided.odds_ratio.reason == "in no setting both b won and a lost"
    assert one_sided.homogeneity.reason == one_sided.odds_ratio.reason
    assert one_sided.test.p is not None
    assert strata.independent([arms(0, 9, 3, 9)]).odds_ratio.value == 0.0


def test_sparse_settings_make_homogeneity_rough() -> None:
    sparse = strata.independent([arms(1, 10, 2, 10), arms(3, 10, 1, 10)])
    assert "rough" in sparse.homogeneity.reason
    dense = strata.independent([arms(100, 200, 90, 200), arms(80, 200, 100, 200)])
    assert dense.homogeneity.reason == ""


def test_the_paired_difference_is_that_of_all_pairs_with_the_variance_within_settings() -> None:
    grid = [Pairs(1, 4, 1, 4), Pairs(0, 0, 3, 7), Pairs(0, 1, 0, 0)]
    found = strata.paired(grid).difference
    assert found.value == pytest.approx((5 - 4) / 21)
    first = np.array([1] * 4 + [-1] + [0] * 5)
    second = np.array([-1] * 3 + [0] * 7)
    variance = 10 * first.var(ddof=1) + 10 * second.var(ddof=1) + 1
    half = 1.959963984540054 * sqrt(variance) / 21
    assert found.interval == pytest.approx((1 / 21 - half, 1 / 21 + half), rel=1e-9)


def test_settings_that_differ_narrow_the_paired_interval() -> None:
    """A difference of 1 in half the grid and -1 in the other is no doubt about the grid's mean."""
    apart = strata.paired([Pairs(0, 9, 1, 0), Pairs(0, 1, 9, 0)] * 20).difference.interval
    pooled = Pairs(0, 200, 200, 0).tango().interval
    assert apart is not None
    assert pooled is not None
    assert apart[1] - apart[0] < 0.7 * (pooled[1] - pooled[0])


def test_the_paired_interval_covers_its_share_over_many_small_settings() -> None:
    """100 settings of 10 correlated pairs whose differences differ; 2,000 draws."""
    rng = np.random.default_rng(7)
    only_b = np.linspace(0.01, 0.2, 100)
    only_a = only_b + np.linspace(0.1, -0.02, 100)
    truth = float((only_a - only_b).mean())
    n = np.full(100, 10.0)
    covered = 0
    for _ in range(2000):
        a = rng.binomial(10, only_a)
        b = rng.binomial(10 - a, only_b / (1 - only_a))
        found = strata._paired_difference(a.astype(float), b.astype(float), n).interval
        assert found is not None
        covered += found[0] <= truth <= found[1]
    assert 0.935 <= covered / 2000 <= 0.965


def test_the_paired_test_is_mcnemars_over_the_grid_and_names_its_null() -> None:
    grid = [Pairs(3, 8, 2, 7), Pairs(1, 5, 1, 13), Pairs(0, 0, 0, 20)]
    found = strata.paired(grid)
    assert found.test.p == Pairs(4, 13, 3, 40).mcnemar()
    assert found.odds_ratio == Pairs(4, 13, 3, 40).odds_ratio()
    assert "in every setting" in found.null
    assert (found.settings, found.telling) == (3, 2)


def test_homogeneity_of_pairs_with_many_discordant_ones_is_chi_squared() -> None:
    grid = [Pairs(3, 40, 20, 7), Pairs(1, 25, 30, 13), Pairs(0, 33, 17, 20)]
    found = strata.paired(grid).homogeneity
    second = chi2_contingency([[40, 20], [25, 30], [33, 17]], correction=False)
    assert "chi-squared" in found.method
    assert found.statistic == pytest.approx(second.statistic)
    assert found.p == pytest.approx(second.pvalue)


def test_homogeneity_of_many_small_settings_holds_its_level_and_has_power() -> None:
    """Tarone's test over 729 settings of 4 discordant pairs; 400 draws each."""
    rng = np.random.default_rng(3)
    m = np.full(729, 4.0)

    def rejected(spread: float) -> float:
        count = 0
        for _ in range(400):
            share = rng.beta(0.6 / spread, 0.4 / spread, 729) if spread else np.full(729, 0.6)
            won = rng.binomial(4, share).astype(float)
            found = strata._same_share(won, m - won)
            assert "Tarone" in found.method
            assert found.p is not None
            count += found.p < 0.05
        return count / 400

    assert 0.02 <= rejected(0.0) <= 0.08
    assert rejected(0.1) > 0.9


@given(paired_grids)
def test_swapping_the_arms_mirrors_a_paired_grid(grid: list[Pairs]) -> None:
    here = strata.paired(grid)
    there = strata.paired([Pairs(p.both, p.only_b, p.only_a, p.neither) for p in grid])
    if here.difference.value is None:
        assert here.difference.reason
        assert here.test.p is None
        return
    assert here.difference.value == pytest.approx(-there.difference.value, abs=1e-12)
    if here.difference.interval:
        low, high = there.difference.interval
        assert here.difference.interval == pytest.approx((-high, -low), abs=1e-12)
    else:
        assert here.difference.reason
    assert here.test.p == pytest.approx(there.test.p)
    if here.homogeneity.p is None:
        assert here.homogeneity.reason
    else:
        assert here.homogeneity.p == pytest.approx(there.homogeneity.p, abs=1e-9)


@settings(max_examples=50)
@given(grids)
def test_every_number_is_a_number(grid: list[Independent]) -> None:
    found = strata.independent(grid)
    for part in (found.difference, found.odds_ratio):
        for number in (part.value, part.low, part.high):
            assert (number is None and part.reason) or np.isfinite(number)
    for test in (found.test, found.homogeneity):
        assert (test.p is None and test.reason) or 0 <= test.p <= 1


def test_the_papers_grid_is_fast_and_a_tenfold_grid_not_slower_than_tenfold() -> None:
    rng = np.random.default_rng(2)
    base = rng.uniform(0, 0.1, 7290)
    k1, k2 = binom.rvs(10, base, random_state=1), binom.rvs(10, base, random_state=2)
    grid = [arms(int(a), 10, int(b), 10) for a, b in zip(k1, k2, strict=True)]
    pairs = [
        Pairs(0, int(a), int(b), 10 - int(a) - int(b))
        for a, b in zip(k1 // 2, k2 // 2, strict=True)
    ]

    def once(size: int) -> float:
        started = time.thread_time()
        strata.independent(grid[:size])
        strata.paired(pairs[:size])
        return time.thread_time() - started

    once(729)
    small, large = (min(once(size) for _ in range(5)) for size in (729, 7290))
    assert small < 1.0
    assert large < 30 * small

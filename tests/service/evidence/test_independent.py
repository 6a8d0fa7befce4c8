"""Two independent arms: published values, statsmodels, a slow second route, and laws."""

import time
import warnings
from collections.abc import Callable

import mpmath as mp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    score_test_proportions_2indep,
)

from service.evidence.estimate import Estimate
from service.evidence.independent import Independent
from service.evidence.rates import Rate
from tests.service.evidence import second_route


def arms(k1: int, n1: int, k2: int, n2: int) -> Independent:
    return Independent(Rate(k1, n1), Rate(k2, n2))


def counts(most: int) -> st.SearchStrategy[Independent]:
    rate = st.integers(1, most).flatmap(lambda n: st.builds(Rate, st.integers(0, n), st.just(n)))
    return st.builds(Independent, rate, rate)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((10, 10, 0, 20), 0.6791, 1.0),
        ((10, 10, 0, 10), 0.6075, 1.0),
        # Perondi et al. 2004 in Fagerland, Lydersen & Laake 2015, table VII
        ((7, 34, 1, 34), 0.0189, 0.3404),
    ],
)
def test_newcombes_difference_has_its_published_values(
    table: tuple[int, int, int, int], low: float, high: float
) -> None:
    assert arms(*table).difference().interval == pytest.approx((low, high), abs=5.1e-5)


def test_score_ratio_and_odds_ratio_have_their_published_values() -> None:
    """Fagerland, Lydersen & Laake 2017, Statistical Analysis of Contingency Tables, chapter 4.

    The digits are those of their R package contingencytables (perondi_2004, lampasona_2013).
    """
    ratio = arms(7, 34, 1, 34).ratio()
    assert ratio.value == pytest.approx(7.0)
    assert ratio.interval == pytest.approx((1.2086, 43.0330), abs=5.1e-5)
    odds = arms(9, 13, 4, 14).odds_ratio()
    assert odds.value == pytest.approx(5.625)
    assert odds.interval == pytest.approx((1.0934, 28.9419), abs=5.1e-5)


TABLES = [
    (1, 2, 1, 3),
    (1, 5, 4, 5),
    (3, 10, 7, 12),
    (9, 13, 4, 14),
    (28, 7290, 58, 7290),
    (999, 1000, 990, 1000),
    (5, 1_000_000, 11, 1_000_000),
    (300_000, 1_000_000, 300_500, 1_000_000),
    (4, 300, 500_000, 1_000_000),
]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("measure", ["ratio", "odds_ratio"])
def test_the_ends_are_where_the_score_of_a_numeric_fit_reaches_its_limit(
    table: tuple[int, int, int, int], measure: str
) -> None:
    """Root-finding at 40 digits on Pearson's chi-squared of the constrained fit."""
    found: Estimate = getattr(arms(*table), measure)()
    score: Callable[..., mp.mpf] = (
        second_route.ratio_score if measure == "ratio" else second_route.odds_score
    )
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    with mp.workdps(40):
        for outer in (found.low, found.high):
            beyond = outer * outer / found.value
            second = second_route.end(lambda x: score(*table, x), found.value, beyond)
            assert outer == pytest.approx(second, rel=1e-6)


@pytest.mark.parametrize("table", TABLES[1:6])
def test_the_intervals_agree_with_statsmodels_where_it_has_them(
    table: tuple[int, int, int, int],
) -> None:
    for compare, measure, method in (
        ("diff", "difference", "newcomb"),
        ("ratio", "ratio", "score"),
        ("odds-ratio", "odds_ratio", "score"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of its first guess
            second = confint_proportions_2indep(*table, compare=compare, method=method)
        found = getattr(arms(*table), measure)().interval
        assert found == pytest.approx([float(x) for x in second], rel=1e-6)


@pytest.mark.parametrize("n", [1, 10, 1000, 1_000_000])
def test_the_ends_at_no_and_at_all_successes(n: int) -> None:
    """Closed forms: of n and n the score is z^2 at a ratio of 1 + z^2 / n (times the factor)."""
    z2 = float(second_route.Z2) * 2 * n / (2 * n - 1)
    every = arms(n, n, n, n)
    assert every.ratio().interval == pytest.approx((1 / (1 + z2 / n), 1 + z2 / n), rel=1e-9)
    assert every.odds_ratio().value is None
    none = arms(0, n, 0, n)
    ratio, odds = none.ratio(), none.odds_ratio()
    assert (ratio.value, ratio.low, ratio.high) == (None, 0.0, None)
    assert (odds.value, odds.low, odds.high) == (None, 0.0, None)
    assert "neither arm" in ratio.reason
    assert none.difference().value == 0.0
    apart = arms(n, n, 0, n)
    assert apart.ratio().value is None
    assert "arm b has no success" in apart.ratio().reason
    assert apart.ratio().high is None
    assert apart.difference().high == 1.0
    back = arms(0, n, n, n)
    assert back.ratio().value == back.ratio().low == 0.0
    assert back.odds_ratio().value == back.odds_ratio().low == 0.0
    assert back.ratio().high == pytest.approx(1 / apart.ratio().low, rel=1e-9)


@pytest.mark.parametrize("n", [1, 10, 1_000_000])
def test_a_lower_end_without_an_upper_one_solves_the_score_too(n: int) -> None:
    table = (n, n, 0, n)
    with mp.workdps(40):
        for measure, score in (
            ("ratio", second_route.ratio_score),
            ("odds_ratio", second_route.odds_score),
        ):
            low = getattr(arms(*table), measure)().low
            assert float(score(*table, mp.mpf(low))) == pytest.approx(float(second_route.Z2))


@pytest.mark.parametrize("table", [*TABLES, (0, 5, 5, 5), (0, 1_000_000, 5, 1_000_000)])
def test_the_score_test_is_pearsons_with_its_factor(table: tuple[int, int, int, int]) -> None:
    k1, n1, k2, n2 = table
    found = arms(*table).score_test()
    second = score_test_proportions_2indep(*table)
    assert found.p == pytest.approx(float(second.pvalue), rel=1e-9)
    plain = chi2_contingency([[k1, n1 - k1], [k2, n2 - k2]], correction=False).statistic
    assert found.statistic is not None
    assert found.statistic**2 == pytest.approx(plain * (n1 + n2 - 1) / (n1 + n2), rel=1e-9)
    greater, less = arms(*table).score_test("greater").p, arms(*table).score_test("less").p
    assert greater is not None
    assert less is not None
    assert greater + less == pytest.approx(1.0)


def test_where_every_trial_came_out_alike_nothing_speaks_against_equal_arms() -> None:
    for k in (0, 7):
        found = arms(k, 7, k, 7).score_test()
        assert found.p == 1.0
        assert "alike" in found.reason


def test_an_empty_arm_is_not_estimable_and_says_which() -> None:
    for table, name in (((0, 0, 1, 2), "arm a"), ((1, 2, 0, 0), "arm b")):
        empty = arms(*table)
        for measure in ("difference", "ratio", "odds_ratio"):
            found = getattr(empty, measure)()
            assert (found.value, found.low, found.high) == (None, None, None)
            assert f"{name} without trials" in found.reason
        for test in (empty.score_test(), empty.exact_test()):
            assert test.p is None
            assert f"{name} without trials" in test.reason


@given(counts(1_000_000))
def test_swapping_the_arms_mirrors_every_interval(one: Independent) -> None:
    other = Independent(one.b, one.a)
    here, there = one.difference(), other.difference()
    assert here.low == pytest.approx(-there.high, abs=1e-12)
    assert here.high == pytest.approx(-there.low, abs=1e-12)
    for measure in ("ratio", "odds_ratio"):
        here, there = getattr(one, measure)(), getattr(other, measure)()
        for mine, theirs in ((here.low, there.high), (here.high, there.low)):
            if mine and theirs:
                assert mine == pytest.approx(1 / theirs, rel=1e-9)
            else:
                assert {mine, theirs} <= {0.0, None}
    assert one.score_test().p == pytest.approx(other.score_test().p)


@given(counts(1_000_000))
def test_intervals_hold_their_estimate_and_stay_in_range(one: Independent) -> None:
    difference = one.difference()
    assert difference.value is not None
    assert difference.low is not None
    assert difference.high is not None
    assert -1 <= difference.low <= difference.value <= difference.high <= 1
    for found in (one.ratio(), one.odds_ratio()):
        assert found.low is not None
        assert found.low >= 0
        if found.value is not None:
            assert found.low <= found.value
            assert found.high is None or found.value <= found.high


@given(counts(5_000))
def test_the_score_test_rejects_exactly_where_the_ratio_and_the_odds_leave_out_1(
    one: Independent,
) -> None:
    p = one.score_test().p
    assert p is not None
    if abs(p - 0.05) < 1e-9:
        return
    for found in (one.ratio(), one.odds_ratio()):
        assert found.low is not None
        out = found.low > 1 or (found.high is not None and found.high < 1)
        assert out == (p < 0.05)


@given(counts(200), st.integers(2, 50))
def test_intervals_narrow_with_n(one: Independent, times: int) -> None:
    """As many times all counts, the same estimate, less doubt."""
    larger = Independent(
        Rate(one.a.k * times, one.a.n * times), Rate(one.b.k * times, one.b.n * times)
    )
    here, there = one.difference().interval, larger.difference().interval
    assert here is not None
    assert there is not None
    assert there[1] - there[0] < here[1] - here[0]
    for measure in ("ratio", "odds_ratio"):
        few, many = getattr(one, measure)(), getattr(larger, measure)()
        assert many.low >= few.low * (1 - 1e-9)
        if few.high is not None and many.high is not None:
            assert many.high <= few.high * (1 + 1e-9)


def test_the_choice_of_the_exact_test_is_a_function_of_n_and_is_said() -> None:
    assert "Boschloo" in arms(0, 500, 1, 500).exact_test().method
    assert "Fisher" in arms(0, 501, 1, 500).exact_test().method
    assert "Fisher" in arms(0, 1, 1, 501).exact_test().method


def test_a_million_trials_cost_about_what_a_thousand_do() -> None:
    """A thousandfold n, and not thirtyfold work (best of some tries)."""

    def least(n: int) -> float:
        one = arms(3 * n // 10, n, 31 * n // 100, n)

        def once() -> float:
            started = time.thread_time()
            one.difference(), one.ratio(), one.odds_ratio(), one.score_test(), one.exact_test()
            return time.thread_time() - started

        return min(once() for _ in range(10))

    assert least(1_000_000) < 30 * least(1000)

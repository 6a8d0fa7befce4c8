"""Rates and their intervals: golden values, and a second route to them."""

import math
from math import comb

import mpmath as mp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binomtest

from service.evidence.rates import Rate

Z = 1.959963984540054


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 100, 0.0, 0.0370),
        (28, 7290, 0.0027, 0.0055),
        # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_has_its_golden_values(k: int, n: int, low: float, high: float) -> None:
    found = Rate(k, n).wilson()
    assert found == pytest.approx((low, high), abs=5.1e-5)


@pytest.mark.parametrize(("k", "n"), [(1, 2), (3, 10), (140, 7000), (999, 1000), (5, 1_000_000)])
def test_wilson_solves_the_score_equation(k: int, n: int) -> None:
    """The ends are where |k/n - p| = z sqrt(p (1 - p) / n), found by root-finding."""

    def gap(p: float) -> float:
        return (k / n - p) ** 2 - Z * Z * p * (1 - p) / n

    low = brentq(gap, 1e-15, k / n, xtol=1e-15)
    high = brentq(gap, k / n, 1 - 1e-15, xtol=1e-15)
    assert Rate(k, n).wilson() == pytest.approx((low, high), abs=1e-9)


def test_without_trials_there_is_nothing_to_estimate() -> None:
    assert Rate(0, 0).value is None
    assert Rate(0, 0).wilson() is None


@pytest.mark.parametrize("n", [1, 10, 10_000])
def test_the_ends_are_exact_at_no_and_at_all_successes(n: int) -> None:
    none, every = Rate(0, n).wilson(), Rate(n, n).wilson()
    assert none is not None
    assert every is not None
    assert none[0] == 0.0
    assert every[1] == 1.0
    assert math.isclose(none[1], 1 - every[0], rel_tol=1e-9)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="5 successes of 3 trials"):
        Rate(5, 3)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, table I, method 5
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
        # Fagerland, Lydersen & Laake 2017, Statistical Analysis of Contingency Tables, table 2.4
        (13, 16, 0.5435, 0.9595),
    ],
)
def test_clopper_and_pearson_have_their_published_values(
    k: int, n: int, low: float, high: float
) -> None:
    assert Rate(k, n).clopper_pearson() == pytest.approx((low, high), abs=5.1e-5)


@pytest.mark.parametrize(
    ("k", "n"), [(0, 1), (1, 1), (1, 2), (0, 10), (10, 10), (3, 10), (28, 729), (100, 200)]
)
def test_clopper_and_pearsons_ends_leave_exactly_one_fortieth_in_each_tail(k: int, n: int) -> None:
    """Tails summed term by term at 40 digits: 1/40 at an end, or the end is 0 or 1."""
    found = Rate(k, n).clopper_pearson()
    assert found is not None

    def tail(p: float, first: int, last: int) -> float:
        with mp.workdps(40):
            q = 1 - mp.mpf(p)
            return float(
                sum(comb(n, i) * mp.mpf(p) ** i * q ** (n - i) for i in range(first, last + 1))
            )

    assert found[0] == 0.0 if k == 0 else tail(found[0], k, n) == pytest.approx(0.025, rel=1e-9)
    assert found[1] == 1.0 if k == n else tail(found[1], 0, k) == pytest.approx(0.025, rel=1e-9)


@pytest.mark.parametrize("k", [0, 1, 5, 500_000, 999_999, 1_000_000])
def test_clopper_and_pearson_agree_with_scipys_search_at_a_million(k: int) -> None:
    second = binomtest(k, 10**6).proportion_ci(0.95, method="exact")
    expected = (float(second.low), float(second.high))
    assert Rate(k, 10**6).clopper_pearson() == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_and_pearsons_interval_holds_the_rate_and_mirrors(pair: tuple[int, int]) -> None:
    k, n = pair
    found, mirrored = Rate(k, n).clopper_pearson(), Rate(n - k, n).clopper_pearson()
    assert found is not None
    assert mirrored is not None
    assert 0 <= found[0] <= k / n <= found[1] <= 1
    assert found == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-9)


def test_without_trials_clopper_and_pearson_have_nothing_to_say() -> None:
    assert Rate(0, 0).clopper_pearson() is None

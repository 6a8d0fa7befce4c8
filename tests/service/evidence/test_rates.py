"""Rates and their intervals: golden values, and a second route to them."""

import math

import pytest
from scipy.optimize import brentq

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

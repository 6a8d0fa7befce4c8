"""Exact tests of independent arms: against scipy, against enumeration, and laws."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import boschloo_exact

from service.evidence.boschloo import fisher, p_value

TABLES = [
    (7, 34, 1, 34),
    (0, 16, 15, 72),
    (3, 10, 7, 12),
    (5, 5, 0, 4),
    (1, 1, 0, 1),
    (0, 5, 0, 5),
    (5, 5, 5, 5),
    (1, 1, 1, 60),
]


@pytest.mark.parametrize("table", TABLES)
def test_boschloos_p_is_scipys(table: tuple[int, int, int, int]) -> None:
    k1, n1, k2, n2 = table
    for sided, alternative in (("two", "two-sided"), ("greater", "greater"), ("less", "less")):
        second = boschloo_exact([[k1, k2], [n1 - k1, n2 - k2]], alternative, n=64).pvalue
        assert p_value(k1, n1, k2, n2, sided) == pytest.approx(float(second), rel=1e-6)


def hypergeometric(k1: int, n1: int, k2: int, n2: int) -> Fraction:
    """Fisher's one-sided p in whole numbers."""
    won = k1 + k2
    ways = sum(comb(n1, i) * comb(n2, won - i) for i in range(k1, min(n1, won) + 1))
    return Fraction(ways, comb(n1 + n2, won))


@pytest.mark.parametrize("table", [(3, 6, 1, 7), (4, 4, 1, 5), (2, 9, 0, 3)])
def test_boschloos_p_is_the_largest_chance_of_so_extreme_a_table(
    table: tuple[int, int, int, int],
) -> None:
    """All tables by exact fractions, and the rate on a grid of 2,000 steps."""
    k1, n1, k2, n2 = table
    observed = hypergeometric(*table)
    extreme = [
        (i, j)
        for i in range(n1 + 1)
        for j in range(n2 + 1)
        if hypergeometric(i, n1, j, n2) <= observed
    ]

    def chance(p: float) -> float:
        return sum(
            comb(n1, i) * comb(n2, j) * p ** (i + j) * (1 - p) ** (n1 + n2 - i - j)
            for i, j in extreme
        )

    largest = max(chance(step / 2000) for step in range(2001))
    found = p_value(k1, n1, k2, n2, "greater")
    assert found == pytest.approx(largest, rel=1e-5)
    assert found >= largest * (1 - 1e-9)


@pytest.mark.parametrize("table", TABLES)
def test_fishers_p_is_that_of_whole_numbers(table: tuple[int, int, int, int]) -> None:
    assert fisher(*table, "greater") == pytest.approx(float(hypergeometric(*table)))


small = st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(max_examples=30)
@given(small, small)
def test_boschloo_is_never_less_powerful_than_fisher_and_mirrors(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    for sided in ("greater", "less"):
        assert p_value(*one, *other, sided) <= fisher(*one, *other, sided) * (1 + 1e-9)
    assert p_value(*one, *other, "two") == pytest.approx(p_value(*other, *one, "two"))

"""Paired differences: golden values, exact enumeration, symmetry."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.evidence.pairs import Pairs, bounds

counts = st.integers(0, 60)
tables = st.builds(Pairs, counts, counts, counts, counts)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:2635, table II, method 10
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((0, 0, 0, 30), -0.1135, 0.1135),
        ((53, 0, 0, 0), -0.0676, 0.0676),
    ],
)
def test_newcombes_interval_has_its_published_values(
    table: tuple[int, int, int, int], low: float, high: float
) -> None:
    found = Pairs(*table).interval()
    assert found is not None
    assert found == pytest.approx((low, high), abs=5.1e-5)


def exact(b: int, c: int) -> Fraction:
    """Two-sided exact p by enumeration of outcomes at most as likely."""
    n = b + c
    weights = [comb(n, i) for i in range(n + 1)]
    return Fraction(sum(w for w in weights if w <= weights[b]), 2**n)


@pytest.mark.parametrize(("b", "c"), [(1, 0), (0, 7), (10, 3), (41, 8), (25, 25), (100, 60)])
def test_mcnemar_equals_exact_enumeration(b: int, c: int) -> None:
    assert Pairs(5, b, c, 9).mcnemar() == pytest.approx(float(min(exact(b, c), 1)), rel=1e-9)


def test_mcnemar_one_sided_is_the_tail() -> None:
    tail = sum(comb(13, i) for i in range(10, 14)) / 2**13
    assert Pairs(0, 10, 3, 0).mcnemar("greater") == pytest.approx(tail)
    assert Pairs(0, 3, 10, 0).mcnemar("less") == pytest.approx(tail)


def test_without_discordant_pairs_p_is_one() -> None:
    assert Pairs(5, 0, 0, 5).mcnemar() == 1.0


def test_without_pairs_nothing_is_estimable() -> None:
    empty = Pairs(0, 0, 0, 0)
    assert (empty.difference, empty.interval(), empty.correlation()) == (None, None, None)
    assert bounds(empty, a_won=0, a_lost=0, b_won=0, b_lost=0, missing=0) is None


@given(tables)
def test_swapping_the_arms_mirrors_everything(pairs: Pairs) -> None:
    other = Pairs(pairs.both, pairs.only_b, pairs.only_a, pairs.neither)
    if pairs.n == 0:
        return
    found, mirrored = pairs.interval(), other.interval()
    assert found is not None
    assert mirrored is not None
    assert found == pytest.approx((-mirrored[1], -mirrored[0]), abs=1e-12)
    assert pairs.mcnemar() == pytest.approx(other.mcnemar())


@given(tables)
def test_the_interval_holds_the_estimate_and_stays_in_range(pairs: Pairs) -> None:
    found = pairs.interval()
    if found is None or pairs.difference is None:
        assert pairs.n == 0
        return
    assert -1 <= found[0] <= pairs.difference + 1e-12
    assert pairs.difference - 1e-12 <= found[1] <= 1


@given(tables, counts, counts, counts, counts, counts)
def test_bounds_are_those_of_the_best_and_worst_completion(
    pairs: Pairs, a_won: int, a_lost: int, b_won: int, b_lost: int, missing: int
) -> None:
    """Filling in every missing member by hand gives the same range."""
    found = bounds(pairs, a_won=a_won, a_lost=a_lost, b_won=b_won, b_lost=b_lost, missing=missing)
    total = pairs.n + a_won + a_lost + b_won + b_lost + missing
    if total == 0:
        assert found is None
        return
    a, b = pairs.both + pairs.only_a, pairs.both + pairs.only_b
    worst = (a + a_won) - (b + b_won + a_won + a_lost + missing)
    best = (a + a_won + b_won + b_lost + missing) - (b + b_won)
    assert found == pytest.approx((worst / total, best / total))

"""A continuous metric of one arm: exact, whatever the order, with a stated place for no value."""

import json
import math
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstwo

from service.evidence.values import LEVELS, POINTS, Better, dkw, spread, summarise

BOTH: tuple[Better, ...] = ("lower", "higher")
finals = st.lists(
    st.one_of(st.just(math.nan), st.floats(-1e6, 1e6), st.sampled_from([0.0, -0.0, 0.25, 1.0])),
    max_size=60,
)


@settings(deadline=None)
@given(finals, st.sampled_from(BOTH), st.randoms(use_true_random=False))
def test_no_order_of_rows_changes_a_byte(rows: list[float], better: Better, random) -> None:  # noqa: ANN001
    shuffled = list(rows)
    random.shuffle(shuffled)
    first = json.dumps(asdict(summarise(np.array(rows), better)), allow_nan=False)
    assert json.dumps(asdict(summarise(np.array(shuffled), better)), allow_nan=False) == first


@settings(deadline=None)
@given(finals, st.sampled_from(BOTH))
def test_it_says_what_plain_counting_says(rows: list[float], better: Better) -> None:
    found = summarise(np.array(rows), better)
    known = sorted((v for v in rows if math.isfinite(v)), reverse=better == "higher")
    assert (found.n, found.measured) == (len(rows), len(known))
    if not known:
        assert (found.mean, found.best, found.worst, found.ecdf) == (None, None, None, ())
        assert found.reason
        return
    exact = sum(map(Fraction, known)) / len(known)
    assert found.mean == pytest.approx(float(exact), rel=1e-15, abs=1e-300)
    assert (found.best, found.worst) == (known[0], known[-1])
    ranked = [*known, *[None] * (len(rows) - len(known))]  # no value ranks worst
    for level, value in found.quantiles:
        assert value == ranked[max(1, math.ceil(Fraction(level * len(rows), 100))) - 1]
    for value, share in found.ecdf:
        reach = sum(v <= value if better == "lower" else v >= value for v in known)
        assert share == reach / len(rows)
    assert [value for value, _ in found.ecdf] == sorted(set(known), reverse=better == "higher")


def test_an_arm_gains_nothing_by_diverging() -> None:
    """The trials that fared worst leave no value: the mean may gain by it, no share does."""
    rows = np.arange(100.0)
    diverged = np.where(rows >= 60, np.nan, rows)
    honest, found = summarise(rows, "lower"), summarise(diverged, "lower")
    assert found.quantiles[:5] == honest.quantiles[:5]
    assert [value for _, value in found.quantiles[5:]] == [None] * 4
    assert found.ecdf == honest.ecdf[:60]
    assert found.ecdf[-1] == (59.0, 0.6)
    assert (found.mean, found.n - found.measured) == (29.5, 40)
    assert "rank worst" in found.reason


def test_an_empty_arm_is_not_estimable_with_the_reason() -> None:
    found = summarise(np.array([]), "lower")
    assert found.reason == "no trial with an outcome is settled"
    assert (found.n, found.mean, found.band) == (0, None, None)
    assert found.quantiles == tuple((level, None) for level in LEVELS)
    found = summarise(np.array([math.nan, math.inf]), "lower")
    assert (found.n, found.measured, found.reason) == (2, 0, "no trial with an outcome has a value")


def test_a_mean_is_exact_where_rounding_would_show() -> None:
    assert summarise(np.array([1e16, 1.0, -1e16]), "lower").mean == 1 / 3
    assert summarise(np.array([1.7e308, 1.7e308]), "higher").mean == 1.7e308
    mixed = summarise(np.array([-1.7e308, 1.7e308, 3.4e307]), "lower").mean
    assert mixed == pytest.approx(3.4e307 / 3, rel=1e-15)


@pytest.mark.parametrize("better", BOTH)
def test_a_million_values_give_200_points_between_which_little_happens(better: Better) -> None:
    rows = np.random.default_rng(4).normal(size=1_000_000)
    rows[:300_000] = 0.5  # an atom
    found = summarise(rows, better)
    assert len(found.ecdf) <= POINTS
    values, shares = np.array(found.ecdf).T
    assert (np.diff(shares) > 0).all()
    assert shares[-1] == 1.0
    assert (values[0], values[-1]) == (found.best, found.worst)
    rises = np.sort(np.diff(shares))
    assert 0.3 <= rises[-1] < 0.3 + 1.1 / (POINTS - 1)  # at the atom
    assert rises[-2] < 1.1 / (POINTS - 1)


@pytest.mark.parametrize(("count", "most"), [(0, 5), (1, 5), (5, 5), (6, 5), (1000, 200), (10, 2)])
def test_a_spread_holds_both_ends_and_no_more_than_it_may(count: int, most: int) -> None:
    found = spread(count, most)
    assert len(found) == min(count, most)
    assert found == sorted(set(found))
    if count:
        assert (found[0], found[-1]) == (0, count - 1)


@pytest.mark.parametrize("n", [1, 2, 10, 100, 5000])
def test_the_band_holds_95_per_cent_by_the_exact_law_of_kolmogorovs_statistic(n: int) -> None:
    """By scipy's exact distribution of the largest distance of an ECDF from its truth."""
    band = dkw(n)
    assert band is not None
    assert kstwo.cdf(band, n) >= 0.95
    if n >= 100:  # and hardly more: the constant is the best there is
        assert kstwo.cdf(band, n) < 0.956


def test_the_band_is_where_it_was_published_to_be() -> None:
    """sqrt(log(2 / 0.05) / 2n), Wasserman 2004, All of Statistics, theorem 7.5."""
    assert dkw(799) == pytest.approx(0.04805, abs=5e-6)
    assert dkw(1) == pytest.approx(1.3581, abs=5e-5)

"""Restarts per success, and restarts for one success with 95 %."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.evidence.practical import fewest, restarts_for_one, restarts_per_success
from service.evidence.rates import Rate


def test_of_no_success_only_a_lower_bound_is_said() -> None:
    """0 of 100: Wilson's upper end is 3.70 %, so 27 restarts or more."""
    expected, one = restarts_per_success(Rate(0, 100)), restarts_for_one(Rate(0, 100))
    assert (expected.value, expected.high) == (one.value, one.high) == (None, None)
    assert expected.low == pytest.approx(1 + 100 / 3.8414588206941254)
    assert one.low == 80
    assert "no success in 100 trials; it takes at least" in expected.reason


@pytest.mark.parametrize("n", [1, 50, 1_000_000])
def test_where_every_trial_succeeds_one_restart_is_enough(n: int) -> None:
    for found in (restarts_per_success(Rate(n, n)), restarts_for_one(Rate(n, n))):
        assert found.value == found.low == 1.0
        assert found.high is not None
        assert found.high >= 1


def test_the_papers_strictest_row_in_restarts() -> None:
    """28 of 7,290: about 260 restarts a success, and 779 for one with 95 %."""
    expected = restarts_per_success(Rate(28, 7290))
    assert expected.value == pytest.approx(260.357, abs=1e-3)
    wilson = Rate(28, 7290).wilson()
    assert wilson is not None
    assert expected.interval == pytest.approx((1 / wilson[1], 1 / wilson[0]))
    assert restarts_for_one(Rate(28, 7290)).value == 779


@given(st.floats(1e-6, 1.0))
def test_it_is_the_fewest_restarts_that_give_the_chance(p: float) -> None:
    n = fewest(p)
    assert 1 - (1 - p) ** n >= 0.95 - 1e-9
    assert n == 1 or 1 - (1 - p) ** (n - 1) < 0.95


@pytest.mark.parametrize("whole", [1, 2, 3, 10, 60])
def test_a_whole_number_is_not_rounded_up_once_more(whole: int) -> None:
    assert fewest(-math.expm1(math.log(0.05) / whole)) == whole


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_hold_their_value(pair: tuple[int, int]) -> None:
    for found in (restarts_per_success(Rate(*pair)), restarts_for_one(Rate(*pair))):
        assert found.low is not None
        assert found.low >= 1
        if found.value is None:
            assert pair[0] == 0
        else:
            assert found.high is not None
            assert found.low <= found.value <= found.high


def test_without_trials_nothing_is_estimable() -> None:
    for found in (restarts_per_success(Rate(0, 0)), restarts_for_one(Rate(0, 0))):
        assert (found.value, found.low, found.high, found.reason) == (None, None, None, "no trials")

"""The arithmetic of the bench, on numbers whose answers are known."""

import pytest

from tests.benchmarks.summary import marginal, median, p95, ratio


def test_median_and_p95_of_known_numbers() -> None:
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert p95([5.0, 1.0, 4.0, 2.0, 3.0]) == 5.0  # of five, the worst
    assert p95([float(i) for i in range(1, 101)]) == 95.0
    assert p95([float(i) for i in range(1, 21)]) == 19.0


def test_a_ratio_pairs_repeats_so_that_a_slow_spell_does_not_count() -> None:
    ours, theirs = [40.0, 10.0, 40.0], [10.0, 2.5, 10.0]
    assert ratio(ours, theirs) == 4.0


def test_a_marginal_rate_is_free_of_what_is_paid_once() -> None:
    """10 s once and half a second a trial: two trials a second."""
    assert marginal((4, 16), (12.0, 18.0)) == pytest.approx(2.0)


def test_a_marginal_rate_needs_sweeps_that_differ() -> None:
    with pytest.raises(ValueError, match="at least four times"):
        marginal((8, 31), (1.0, 2.0))
    with pytest.raises(ValueError, match="the larger sweep must be the slower"):
        marginal((8, 32), (2.0, 1.0))

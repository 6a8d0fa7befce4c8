"""Sequences hold the truth at all looks at once: exact sums, and simulation where needed.

And what they rest on are the rational numbers that they should be, up to 200 trials.
"""

import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from service.evidence.pairs import Pairs
from service.evidence.rates import Rate
from service.evidence.sequential import (
    difference_sequence,
    log_e_difference,
    rate_sequence,
)

ALPHA = 0.05


def ever_missed(rate: float, trials: int, holds) -> float:  # noqa: ANN001
    """The chance that an interval leaves the rate out after some of so many trials, exactly.

    Args:
        rate: the truth.
        trials: looked at after each.
        holds: (k, n) -> whether the interval holds the rate; for each n those k are neighbours.
    """
    chances = np.zeros(trials + 2)  # of each k that was always held so far
    chances[0] = 1.0
    low, high = 0, 0  # the k that are held
    for n in range(1, trials + 1):
        chances[1 : n + 1] = rate * chances[:n] + (1 - rate) * chances[1 : n + 1]
        chances[0] *= 1 - rate
        while low <= n and not holds(low, n):  # bounds move with n by a step at most
            low += 1
        high = max(high, low)
        while high < n and holds(high + 1, n):
            high += 1
        while high > low and not holds(high, n):
            high -= 1
        chances[:low] = 0
        chances[high + 1 :] = 0
    return float(1 - chances.sum())


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.1, 0.3, 0.5])
def test_a_rates_sequence_holds_after_every_trial_by_exact_sums(rate: float) -> None:
    """No simulation: 1,000 looks; Wilson's interval asked as often misses it far more."""

    def ours(k: int, n: int) -> bool:
        low, high = rate_sequence(k, n, ALPHA)
        return low <= rate <= high

    def naive(k: int, n: int) -> bool:
        low, high = Rate(k, n).wilson() or (0.0, 1.0)
        return low <= rate <= high

    assert ever_missed(rate, 1000, ours) <= ALPHA
    assert ever_missed(rate, 300, naive) > 2 * ALPHA


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0.0105, 0.0095), (0.05, 0.05), (0.2, 0.1), (0.45, 0.05), (0.02, 0.0)]
)
def test_a_differences_sequence_holds_at_all_looks(only_a: float, only_b: float) -> None:
    """2,500 runs of 1,500 pairs, a look every 50: the error of the share is 0.44 points.

    The interval leaves the truth out where the e-value against it has reached 1 / alpha, which is
    held against the interval itself for the first runs. Newcombe's interval is asked as often.
    """
    runs, looked, truth = 2500, 30, only_a - only_b
    rng = np.random.default_rng(54)
    shares = [0.1, only_a, only_b, 0.9 - only_a - only_b]
    tables = rng.multinomial(50, shares, size=(runs, looked)).cumsum(axis=1)

    @cache
    def missed(only_a: int, only_b: int, n: int) -> bool:
        found = log_e_difference(Pairs(0, only_a, only_b, n - only_a - only_b), truth)
        return found >= -math.log(ALPHA)

    ours = [
        any(missed(a, b, 50 * i) for i, (_, a, b, _) in enumerate(run, 1))
        for run in tables.tolist()
    ]
    assert np.mean(ours) <= ALPHA
    for row in tables[:30].reshape(-1, 4)[::10].tolist():
        low, high = difference_sequence(Pairs(*row))
        assert missed(row[1], row[2], sum(row)) == (not low <= truth <= high)
    if only_a + only_b >= 0.1:
        some = tables[:60].tolist()
        naive = np.mean([any(not _held(Pairs(*row), truth) for row in run) for run in some])
        assert naive > 2 * ALPHA


def _held(pairs: Pairs, truth: float) -> bool:
    low, high = pairs.interval() or (-1.0, 1.0)
    return low <= truth <= high


@pytest.mark.parametrize(
    ("only_a", "only_b", "same"),
    [(0, 0, 1), (1, 0, 0), (0, 3, 4), (12, 2, 36), (90, 110, 0), (1, 0, 199), (60, 20, 120)],
)
@pytest.mark.parametrize("difference", [Fraction(0), Fraction(1, 8), Fraction(-3, 4)])
def test_the_differences_e_value_is_the_rational_number(
    only_a: int, only_b: int, same: int, difference: Fraction
) -> None:
    """The capital of 80 bets on 0, 1/2 and 1 against the mean (difference + 1) / 2, averaged."""
    m = (difference + 1) / 2
    sizes = [Fraction(2 * i + 1, 80) for i in range(40)]
    bets = [*(s / m for s in sizes), *(-s / (1 - m) for s in sizes)]
    capital = sum(
        (1 - bet * m) ** only_b
        * (1 + bet * (Fraction(1, 2) - m)) ** same
        * (1 + bet * (1 - m)) ** only_a
        for bet in bets
    ) / len(bets)
    found = log_e_difference(Pairs(0, only_a, only_b, same), float(difference))
    assert found == pytest.approx(_log(capital), abs=1e-10, rel=1e-10)


@pytest.mark.parametrize(("k", "n"), [(1, 1), (0, 3), (1, 200), (60, 200), (100, 200), (199, 200)])
def test_a_rates_sequence_ends_where_its_e_value_is_1_over_alpha(k: int, n: int) -> None:
    """B(1 + k, 1 + n - k) / p^k (1 - p)^(n - k) as a rational number of the end p."""
    mixture = Fraction(math.factorial(k) * math.factorial(n - k), math.factorial(n + 1))
    for p in map(Fraction, set(rate_sequence(k, n, ALPHA)) - {0.0, 1.0}):
        e = mixture / (p**k * (1 - p) ** (n - k))
        assert _log(e) == pytest.approx(math.log(20), abs=1e-10)


def _log(x: Fraction) -> float:
    return math.log(x.numerator) - math.log(x.denominator)

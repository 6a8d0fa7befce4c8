"""E-processes and confidence sequences: exact identities, and what they promise at every look."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from service.evidence.pairs import Pairs, Sided
from service.evidence.rates import Rate
from service.evidence.sequential import (
    anytime,
    difference_sequence,
    log_e_difference,
    log_e_paired,
    p_anytime,
    rate_sequence,
)
from service.evidence.unseen import Unseen

SIDES: tuple[Sided, ...] = ("two", "greater", "less")


def exact_e(only_a: int, only_b: int, sided: Sided) -> Fraction:
    """The e-value as a rational number: factorials, and a sum of binomial coefficients."""
    n = only_a + only_b
    both = Fraction(2**n * math.factorial(only_a) * math.factorial(only_b), math.factorial(n + 1))
    if sided == "two":
        return both
    won = only_a if sided == "greater" else only_b
    # P(Beta(1 + won, 1 + n - won) > 1/2) = P(Bin(n + 1, 1/2) <= won)
    share = Fraction(sum(math.comb(n + 1, j) for j in range(won + 1)), 2 ** (n + 1))
    return 2 * share * both


def log_of(x: Fraction) -> float:
    return math.log(x.numerator) - math.log(x.denominator)


@pytest.mark.parametrize("sided", SIDES)
@pytest.mark.parametrize(
    ("only_a", "only_b"),
    [(0, 0), (1, 0), (0, 1), (3, 3), (20, 5), (5, 20), (100, 100), (150, 50), (0, 200), (200, 0)],
)
def test_the_paired_e_value_is_the_rational_number(only_a: int, only_b: int, sided: Sided) -> None:
    expected = log_of(exact_e(only_a, only_b, sided))
    assert log_e_paired(only_a, only_b, sided) == pytest.approx(expected, abs=1e-10, rel=1e-10)


@pytest.mark.parametrize(
    ("won", "lost"), [(0, 960), (0, 970), (0, 5000), (3, 1500), (200, 2500), (5000, 9000)]
)
def test_a_one_sided_e_value_of_the_other_direction_is_small_and_never_nothing(
    won: int, lost: int
) -> None:
    """JSON has no infinity: progress and report of such a sweep would fail."""
    expected = log_of(exact_e(won, lost, "greater"))
    assert log_e_paired(won, lost, "greater") == pytest.approx(expected, abs=1e-9, rel=1e-9)
    assert log_e_paired(lost, won, "less") == log_e_paired(won, lost, "greater")


@pytest.mark.parametrize("sided", SIDES)
@pytest.mark.parametrize("n", [1, 2, 17, 200])
def test_under_the_null_its_expectation_is_1(n: int, sided: Sided) -> None:
    exact = sum(Fraction(math.comb(n, a), 2**n) * exact_e(a, n - a, sided) for a in range(n + 1))
    assert exact == 1
    ours = sum(binom.pmf(a, n, 0.5) * math.exp(log_e_paired(a, n - a, sided)) for a in range(n + 1))
    assert ours == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize("sided", SIDES)
def test_it_is_a_martingale(sided: Sided) -> None:
    """Whatever has been seen, the next discordant pair changes it by nothing on average."""
    for a, b in product(range(12), repeat=2):
        now = math.exp(log_e_paired(a, b, sided))
        nexts = (log_e_paired(a + 1, b, sided), log_e_paired(a, b + 1, sided))
        assert sum(map(math.exp, nexts)) / 2 == pytest.approx(now, rel=1e-10)


def test_a_p_value_is_at_most_1_and_never_overflows() -> None:
    assert p_anytime(-5000.0) == 1.0
    assert p_anytime(math.log(20)) == pytest.approx(0.05)


@pytest.mark.parametrize("sided", SIDES)
def test_what_is_unseen_counts_against_every_claim(sided: Sided) -> None:
    """No way in which missing outcomes may have been gives less evidence, or a wider interval."""
    pairs, unseen = Pairs(3, 14, 4, 19), Unseen(for_a=3, for_b=5)
    found = anytime(pairs, unseen, sided)
    nothing = anytime(pairs, Unseen(), sided)
    assert nothing.log_e == log_e_paired(14, 4, sided)
    assert nothing.interval == difference_sequence(pairs)
    for a, b in product(range(4), range(6)):  # those that are not discordant are ties
        assert found.log_e <= log_e_paired(14 + a, 4 + b, sided) + 1e-12
        low, high = difference_sequence(Pairs(3, 14 + a, 4 + b, 19 + (3 - a) + (5 - b)))
        assert found.interval[0] <= low
        assert high <= found.interval[1]


def test_a_million_pairs_are_no_matter() -> None:
    assert log_e_paired(500_000, 500_000) == pytest.approx(
        1e6 * math.log(2) - math.log(1_000_001) - log_comb(10**6, 500_000), rel=1e-6
    )
    low, high = rate_sequence(10_000, 10**6)
    assert 0.0094 < low < 0.01 < high < 0.0106
    low, high = difference_sequence(Pairs(0, 30_000, 20_000, 950_000))
    assert 0.008 < low < 0.01 < high < 0.012


def log_comb(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


@pytest.mark.parametrize("k", [0, 1, 5, 10])
def test_a_rates_interval_ends_where_the_mixture_rules_out(k: int) -> None:
    """At each end that is not 0 or 1 the e-value, a rational number of p, is 1 / alpha."""
    n = 10
    low, high = rate_sequence(k, n, 0.05)
    for end in {low, high} - {0.0, 1.0}:
        mixture = Fraction(math.factorial(k) * math.factorial(n - k), math.factorial(n + 1))
        p = Fraction(end)
        e = mixture / (p**k * (1 - p) ** (n - k))
        assert float(e) == pytest.approx(20.0, rel=1e-9)
    assert low <= k / n <= high
    assert (low == 0.0, high == 1.0) == (k == 0, k == n)


def test_nothing_seen_rules_nothing_out() -> None:
    assert rate_sequence(0, 0) == (0.0, 1.0)
    assert difference_sequence(Pairs(0, 0, 0, 0)) == (-1.0, 1.0)
    with pytest.raises(ValueError, match="successes are 0 to n"):
        rate_sequence(3, 2)


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.5])
def test_a_rates_sequence_holds_at_all_looks_and_wilsons_interval_does_not(rate: float) -> None:
    """2,000 trials, a look every 50; the truth may be left out by 5 % of the runs."""
    rng, runs, looked = np.random.default_rng(5), 200, np.arange(50, 2001, 50)
    ours = naive = 0
    for _ in range(runs):
        successes = np.cumsum(rng.random(2000) < rate)[looked - 1]
        seen = list(zip(successes.tolist(), looked.tolist(), strict=True))
        ours += any(not _holds(rate_sequence(k, n), rate) for k, n in seen)
        naive += any(not _holds(Rate(k, n).wilson(), rate) for k, n in seen)
    assert ours <= 0.05 * runs
    assert naive > 0.12 * runs


def _holds(interval: tuple[float, float] | None, value: float) -> bool:
    return interval is not None and interval[0] <= value <= interval[1]


@pytest.mark.parametrize("difference", [-0.4, 0.0, 0.05, 0.3])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_under_its_null_the_differences_e_value_has_expectation_1(
    n: int, difference: float
) -> None:
    """By enumeration of all tables of n pairs, at two shares of discordant pairs."""
    for discordant in (abs(difference) + 0.01, 0.9):
        a, b = (discordant + difference) / 2, (discordant - difference) / 2
        total = 0.0
        for x, y in product(range(n + 1), repeat=2):
            if x + y <= n:
                ways = math.factorial(n) / math.prod(map(math.factorial, (x, y, n - x - y)))
                chance = ways * a**x * b**y * (1 - discordant) ** (n - x - y)
                total += chance * math.exp(log_e_difference(Pairs(0, x, y, n - x - y), difference))
        assert total == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize("table", [(0, 1, 0, 3), (5, 20, 9, 66), (0, 0, 40, 0), (300, 90, 60, 550)])
def test_what_a_difference_sequence_holds_is_one_interval(table: tuple[int, ...]) -> None:
    pairs = Pairs(*table)
    low, high = difference_sequence(pairs)
    grid = np.linspace(-0.999, 0.999, 4001)
    inside = np.array([log_e_difference(pairs, d) < math.log(20) for d in grid])
    assert (inside == ((grid > low) & (grid < high))).all()
    assert pairs.difference is not None
    assert low <= pairs.difference <= high


def test_over_a_grid_the_averages_e_value_expects_no_more_than_1_after_whole_cohorts() -> None:
    """Two cells whose differences are not equal, their average being the hypothesis."""
    cells = [(0.5, 0.1), (0.1, 0.3)]  # chances of "only a" and "only b"
    average = sum(a - b for a, b in cells) / 2
    total = 0.0
    for tables in product(product(range(3), repeat=2), repeat=2):
        chance = 1.0
        for (x, y), (a, b) in zip(tables, cells, strict=True):
            if x + y > 2:
                chance = 0.0
                break
            ways = 2 / math.prod(map(math.factorial, (x, y, 2 - x - y)))
            chance *= ways * a**x * b**y * (1 - a - b) ** (2 - x - y)
        only_a, only_b = (sum(t[i] for t in tables) for i in range(2))
        if chance:
            pairs = Pairs(0, only_a, only_b, 4 - only_a - only_b)
            total += chance * math.exp(log_e_difference(pairs, average))
    assert 0.8 < total <= 1.0


def test_a_difference_sequence_holds_at_all_looks_and_newcombes_interval_does_not() -> None:
    rng, runs, n = np.random.default_rng(6), 100, 1500
    a, b, both = 0.13, 0.08, 0.2
    ours = naive = 0
    for _ in range(runs):
        drawn = rng.choice(4, size=n, p=[both, a, b, 1 - both - a - b])
        tables = np.cumsum(drawn[:, None] == np.arange(4), axis=0)[74::75]
        seen = [Pairs(*row) for row in tables.tolist()]
        ours += any(not _holds(difference_sequence(p), a - b) for p in seen)
        naive += any(not _holds(p.interval(), a - b) for p in seen)
    assert ours <= 0.05 * runs
    assert naive > 0.12 * runs

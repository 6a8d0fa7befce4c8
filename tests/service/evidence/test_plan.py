"""The planner: joint probabilities, exact power against enumeration and simulation, least n."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, multinomial

from service.evidence.pairs import Pairs, Sided
from service.evidence.plan import (
    Design,
    InfeasibleError,
    Test,
    approximate_pairs,
    critical,
    pairs_for,
    power,
)

rates = st.floats(0.001, 0.999)


@given(rates, rates, st.floats(0, 1))
def test_a_joint_distribution_has_the_rates_and_the_correlation_that_were_asked_for(
    baseline: float, rate: float, place: float
) -> None:
    if rate == baseline:
        return
    low, high = Design(baseline, rate - baseline).feasible()
    design = Design(baseline, rate - baseline, low + place * (high - low))
    both, only_arm, only_baseline, neither = design.joint()
    assert math.isclose(both + only_arm + only_baseline + neither, 1, abs_tol=1e-12)
    assert min(both, only_arm, only_baseline, neither) >= 0
    assert math.isclose(both + only_arm, rate, abs_tol=1e-12)
    assert math.isclose(both + only_baseline, baseline, abs_tol=1e-12)
    spread = math.sqrt(rate * (1 - rate) * baseline * (1 - baseline))
    assert math.isclose(both - rate * baseline, design.correlation * spread, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("baseline", "effect", "correlation", "says"),
    [
        (0.01, 0.01, 0.8, "-0.01436 to 0.7035"),
        (0.9, 0.2, 0.0, "a rate of 1.1"),
        (0.1, -0.2, 0.0, "a rate of -0.1"),
        (0.3, 0.0, 0.0, "an effect of 0"),
        (0.0, 0.1, 0.1, "0 to 0"),
    ],
)
def test_what_no_pair_of_arms_can_be_is_refused_with_what_is_possible(
    baseline: float, effect: float, correlation: float, says: str
) -> None:
    with pytest.raises(InfeasibleError, match=says):
        Design(baseline, effect, correlation)


@pytest.mark.parametrize("sided", ["two", "greater"])
def test_the_critical_wins_are_those_at_which_the_exact_p_and_the_mid_p_are_small_enough(
    sided: Sided,
) -> None:
    d = np.array([*range(30), 57, 100, 163])
    level = 0.025 if sided == "two" else 0.05
    for n, wins in zip(d.tolist(), critical(d, level), strict=True):
        rejecting = [w for w in range(n // 2 + 1, n + 1) if _p(w, n, sided) <= 0.05]
        assert wins == (rejecting[0] if rejecting else n + 1)
    for n, wins in zip(d.tolist(), critical(d, level, "mid-p"), strict=True):
        more = range(n // 2 + 1, n + 1)
        found = [w for w in more if _p(w, n, sided) - _p_of_exactly(w, n, sided) / 2 <= 0.05]
        assert wins == (found[0] if found else n + 1)


def _p(wins: int, n: int, sided: Sided) -> float:
    return float(Pairs(0, wins, n - wins, 0).mcnemar(sided))


def _p_of_exactly(wins: int, n: int, sided: Sided) -> float:
    """What of a p-value is of the observed table and, two-sided, of its mirror image."""
    chance = math.comb(n, wins) / 2**n
    return chance if sided == "greater" else 2 * chance


@pytest.mark.parametrize("sided", ["two", "greater", "less"])
@pytest.mark.parametrize("n", [1, 6, 13, 30])
def test_the_power_is_the_sum_over_every_possible_table(n: int, sided: Sided) -> None:
    design = Design(0.3, 0.35, 0.1)
    total = 0.0
    for only_a, only_b in itertools.product(range(n + 1), repeat=2):
        if only_a + only_b <= n and Pairs(0, only_a, only_b, 0).mcnemar(sided) <= 0.05:
            for both in range(n - only_a - only_b + 1):
                counts = [both, only_a, only_b, n - both - only_a - only_b]
                total += multinomial.pmf(counts, n, design.joint())
    assert power(design, n, sided=sided) == pytest.approx(total, abs=1e-10)


@pytest.mark.parametrize(
    ("baseline", "effect", "correlation", "pairs"),
    [
        (0.0038, 0.0042, 0.0, 7290),
        (0.01, 0.01, 0.1, 3000),
        (0.05, 0.03, 0.2, 1000),
        (0.30, 0.03, 0.3, 3530),
        (0.30, 0.10, 0.6, 150),
        (0.5, -0.1, 0.0, 300),
        (0.02, 0.2, 0.0, 40),
    ],
)
def test_the_power_is_within_two_points_of_simulated_power(
    baseline: float, effect: float, correlation: float, pairs: int
) -> None:
    """20,000 simulated sweeps, judged by their exact p: Monte-Carlo error 0.35 points."""
    design = Design(baseline, effect, correlation)
    tables = np.random.default_rng(5).multinomial(pairs, design.joint(), 20_000)
    _, only_a, only_b, _ = tables.T
    p = 2 * binom.cdf(np.minimum(only_a, only_b), only_a + only_b, 0.5)
    assert min(1.0, p[0]) == pytest.approx(Pairs(*tables[0].tolist()).mcnemar())
    rejected = np.count_nonzero(p <= 0.05)
    assert abs(power(design, pairs) - rejected / 20_000) < 0.02


@pytest.mark.parametrize(
    ("correlation", "published", "exact", "mid"),
    [
        (0.0, 5039, 5103, 5037),
        (0.3, 3530, 3591, 3527),
        (0.6, 2021, 2075, 2012),
        (0.8, 1014, 1055, 996),
    ],
)
def test_pairs_for_30_against_33_percent_are_connors_and_the_exact_test_asks_for_a_few_more(
    correlation: float, published: int, exact: int, mid: int
) -> None:
    """`published` are the approximate values of NEEDS.md F2; the others are exact sums."""
    design = Design(0.30, 0.03, correlation)
    assert approximate_pairs(design, 0.9) == pytest.approx(published, abs=1)
    assert pairs_for(design, 0.9) == exact
    assert pairs_for(design, 0.9, test="mid-p") == mid
    assert exact < 1.05 * published
    assert abs(mid - published) < 0.02 * published


@pytest.mark.parametrize("test", ["exact", "mid-p"])
@pytest.mark.parametrize("sided", ["two", "greater", "less"])
@pytest.mark.parametrize(
    ("baseline", "effect", "place"),
    [(0.5, 0.5, 0), (0.45, 0.1, 0), (0.0, 0.2, 0), (0.05, 0.2, 0.5), (0.3, -0.25, 1)],
)
def test_below_the_least_n_the_power_falls_short_and_from_it_on_it_never_does_again(
    baseline: float, effect: float, place: float, sided: Sided, test: Test
) -> None:
    low, high = Design(baseline, effect).feasible()
    design = Design(baseline, effect, low + place * (high - low))
    n = pairs_for(design, 0.8, sided=sided, test=test)
    if (effect > 0 and sided == "less") or (effect < 0 and sided == "greater"):
        assert n is None
        return
    assert n is not None

    def found(pairs: int) -> float:
        return power(design, pairs, sided=sided, test=test)

    assert found(n - 1) < 0.8
    assert all(found(m) >= 0.8 for m in range(n, 2 * n + 100))


def test_the_first_n_that_suffices_need_not_be_the_least_from_which_on_all_do() -> None:
    """Or the test above would show nothing: here every pair is discordant."""
    design = Design(0.45, 0.1, Design(0.45, 0.1).feasible()[0])
    n = pairs_for(design, 0.8)
    assert n is not None
    assert any(power(design, m) >= 0.8 for m in range(n - 1))


def test_a_power_below_alpha_or_of_one_is_refused_and_a_hopeless_effect_has_no_n() -> None:
    for wanted in (0.05, 1.0):
        with pytest.raises(ValueError, match="it lies between"):
            pairs_for(Design(0.3, 0.1), wanted)
    assert pairs_for(Design(0.3, 1e-5), 0.9) is None


def test_power_of_100_000_pairs_is_that_of_a_normal_approximation() -> None:
    """By another route, at a size where the two must agree."""
    design = Design(0.3, 0.006, 0.3)
    psi = design.discordant
    z = (1.959964 * math.sqrt(psi) - 0.006 * math.sqrt(100_000)) / math.sqrt(psi - 0.006**2)
    assert power(design, 100_000) == pytest.approx(0.5 * math.erfc(z / math.sqrt(2)), abs=0.005)

"""How often the intervals hold the truth: exact sums over every outcome, no simulation.

What they cover is printed (`pytest -s`, or -rP).
"""

# ruff: noqa: T201 - the worst (p, n) are to be seen

import functools
from collections.abc import Callable
from itertools import product
from math import comb, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from service.evidence.independent import Independent
from service.evidence.pairs import Pairs
from service.evidence.rates import Rate

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
TRIALS = (10, 30, 100, 300, 1000, 3000, 7290)

Interval = tuple[float, float]


def coverage(interval: Callable[[Rate], Interval | None]) -> NDArray[np.float64]:
    """The chance that the interval holds the rate, (trials, rates); 1e-8 counts against it."""
    found = []
    for n in TRIALS:
        likely = {
            k
            for p in RATES
            for k in range(int(binom.ppf(1e-8, n, p)), int(binom.isf(1e-8, n, p)) + 1)
        }
        ks = np.array(sorted(likely))
        ends = np.array([interval(Rate(int(k), n)) for k in ks])
        found.append(
            [binom.pmf(ks, n, p)[(ends[:, 0] <= p) & (p <= ends[:, 1])].sum() for p in RATES]
        )
    return np.array(found)


def where(covered: NDArray[np.float64]) -> str:
    n, p = np.unravel_index(covered.argmin(), covered.shape)
    return f"mean {covered.mean():.4f}, least {covered.min():.4f} at p {RATES[p]}, n {TRIALS[n]}"


def test_clopper_and_pearson_cover_at_least_95_percent_everywhere() -> None:
    covered = coverage(Rate.clopper_pearson)
    print("Clopper-Pearson:", where(covered))
    assert covered.min() >= 0.95


def test_wilson_covers_95_percent_on_average_and_says_its_minimum() -> None:
    """The mean is right; single (p, n) may fall short, and the worst of the grid is printed."""
    covered = coverage(Rate.wilson)
    print("Wilson:", where(covered))
    assert 0.94 <= covered.mean() <= 0.96
    assert covered.min() >= 0.86


def test_the_plain_normal_interval_would_fail_both() -> None:
    """The fault that these tests must catch: k / n plus and minus two standard errors."""

    def wald(rate: Rate) -> Interval:
        p = rate.k / rate.n
        half = 1.96 * sqrt(p * (1 - p) / rate.n)
        return p - half, p + half

    covered = coverage(wald)
    assert covered.min() < 0.05
    assert covered.mean() < 0.9


@functools.cache
def tables(n: int) -> tuple[Pairs, ...]:
    """Every paired table of n pairs."""
    return tuple(
        Pairs(a, b, c, n - a - b - c)
        for a, b, c in product(range(n + 1), repeat=3)
        if a + b + c <= n
    )


def chance(pairs: Pairs, cells: tuple[float, ...]) -> float:
    """The multinomial probability of a table."""
    counts = (pairs.both, pairs.only_a, pairs.only_b, pairs.neither)
    left, ways = pairs.n, 1
    for count in counts:
        ways *= comb(left, count)
        left -= count
    found = float(ways)
    for cell, count in zip(cells, counts, strict=True):
        found *= cell**count
    return found


def cells(p_a: float, p_b: float, rho: float) -> tuple[float, ...]:
    """Of both, only a, only b, neither."""
    both = p_a * p_b + rho * sqrt(p_a * (1 - p_a) * p_b * (1 - p_b))
    return both, p_a - both, p_b - both, 1 - p_a - p_b + both


def paired_coverage(
    method: Callable[[Pairs], Interval | None], n: int, truth: Callable[[float, float], float]
) -> list[float]:
    """Over four truths, from independent arms to correlated ones."""
    intervals = [(pairs, method(pairs)) for pairs in tables(n)]
    found = []
    for p_a, p_b, rho in TRUTHS:
        cell = cells(p_a, p_b, rho)
        assert min(cell) >= 0
        target = truth(p_a, p_b)
        found.append(
            sum(
                chance(pairs, cell)
                for pairs, ends in intervals
                if ends is not None and ends[0] - 1e-12 <= target <= ends[1] + 1e-12
            )
        )
    return found


TRUTHS = ((0.3, 0.3, 0.0), (0.5, 0.3, 0.3), (0.2, 0.1, 0.0), (0.6, 0.5, 0.6), (0.1, 0.1, 0.5))


@pytest.mark.parametrize("n", [12, 22])
def test_tangos_interval_covers_its_share_at_few_pairs(n: int) -> None:
    covered = paired_coverage(lambda pairs: pairs.tango().interval, n, lambda a, b: a - b)
    print("Tango:", n, [round(share, 4) for share in covered])
    assert min(covered) >= 0.93
    assert np.mean(covered) >= 0.945


@pytest.mark.parametrize("n", [12, 22])
def test_newcombes_paired_interval_covers_its_share_at_few_pairs(n: int) -> None:
    covered = paired_coverage(Pairs.interval, n, lambda a, b: a - b)
    print("Newcombe:", n, [round(share, 4) for share in covered])
    assert min(covered) >= 0.93


def test_the_paired_ratios_interval_covers_its_share_at_few_pairs() -> None:
    def ends(pairs: Pairs) -> Interval:
        found = pairs.ratio()
        assert found.low is not None
        return found.low, np.inf if found.high is None else found.high

    covered = paired_coverage(ends, 16, lambda a, b: a / b)
    print("paired ratio:", [round(share, 4) for share in covered])
    assert min(covered) >= 0.93


def test_the_plain_paired_interval_would_fail() -> None:
    """The fault: the difference plus and minus two standard errors."""

    def wald(pairs: Pairs) -> Interval:
        b, c, n = pairs.only_a, pairs.only_b, pairs.n
        half = 1.96 * sqrt(max(0.0, (b + c) - (b - c) ** 2 / n)) / n
        return (b - c) / n - half, (b - c) / n + half

    assert min(paired_coverage(wald, 12, lambda a, b: a - b)) < 0.85


@pytest.mark.parametrize(("n1", "n2"), [(20, 20), (15, 30)])
def test_the_intervals_of_independent_arms_cover_their_share(n1: int, n2: int) -> None:
    """Over all (k1, k2): Newcombe's difference, the score ratio and the score odds ratio."""
    every = [(k1, k2, Independent(Rate(k1, n1), Rate(k2, n2)))
             for k1 in range(n1 + 1) for k2 in range(n2 + 1)]  # fmt: skip
    for name, truth in (
        ("difference", lambda a, b: a - b),
        ("ratio", lambda a, b: a / b),
        ("odds_ratio", lambda a, b: a * (1 - b) / (b * (1 - a))),
    ):
        found = [(k1, k2, getattr(arms, name)()) for k1, k2, arms in every]
        covered = []
        for a, b in ((0.3, 0.3), (0.5, 0.2), (0.1, 0.2), (0.8, 0.6)):
            target = truth(a, b)
            covered.append(
                sum(
                    binom.pmf(k1, n1, a) * binom.pmf(k2, n2, b)
                    for k1, k2, ends in found
                    if ends.low <= target and (ends.high is None or target <= ends.high)
                )
            )
        print(name, n1, n2, [round(float(share), 4) for share in covered])
        assert min(covered) >= 0.93

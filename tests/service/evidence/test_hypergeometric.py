"""Sums of hypergeometric counts against enumeration, scipy, and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import hypergeom

from service.evidence import hypergeometric
from service.evidence.hypergeometric import tails


def enumerated(parts: list[tuple[int, int, int]]) -> dict[int, float]:
    """The law of the sum, by going through every combination of counts."""
    laws = [
        {x: math.comb(k, x) * math.comb(n - k, m - x) / math.comb(n, m) for x in range(m + 1)}
        for n, k, m in parts
    ]
    total: dict[int, float] = {}
    for xs in itertools.product(*laws):
        chance = math.prod(law[x] for law, x in zip(laws, xs, strict=True))
        total[sum(xs)] = total.get(sum(xs), 0.0) + chance
    return {x: chance for x, chance in total.items() if chance > 0}


@pytest.mark.parametrize(
    "parts",
    [
        [(10, 4, 5)],
        [(10, 4, 5), (10, 4, 5), (10, 4, 5)],
        [(7, 6, 4), (12, 1, 3), (5, 0, 2), (9, 9, 3)],
        [(3, 1, 1), (4, 2, 2), (6, 5, 5), (8, 2, 7)],
    ],
)
def test_tails_equal_those_of_an_enumeration(parts: list[tuple[int, int, int]]) -> None:
    law = enumerated(parts)
    ends = min(law[min(law)], law[max(law)])
    for x in law:
        below = sum(c for y, c in law.items() if y <= x)
        above = sum(c for y, c in law.items() if y >= x)
        found = tails(x, np.array(parts))
        assert found.p == pytest.approx(min(1.0, 2 * min(below, above)), rel=1e-9)
        assert found.expected == pytest.approx(sum(y * c for y, c in law.items()), rel=1e-12)
        assert found.least_p == pytest.approx(min(1.0, 2 * ends), rel=1e-9)


def test_one_cell_is_fishers_exact_test_with_the_smaller_tail_doubled() -> None:
    parts = np.array([(2400, 300, 310)])
    for x in (20, 38, 39, 60):
        law = hypergeom(2400, 300, 310)
        expected = min(1.0, 2 * min(law.cdf(x), law.sf(x - 1)))
        assert tails(x, parts).p == pytest.approx(expected, rel=1e-9)


def test_the_series_for_large_sums_agrees_with_the_exact_tails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a variance just below the bound, out to where flags begin."""
    parts = np.array([(8000, 600, 1000)] * 12 + [(9000, 500, 1200)] * 4)
    sd, mean = 990**0.5, int(tails(1000, parts).expected)
    points = [int(mean + z * sd) for z in (-4.0, -3.0, -1.0, 0.0, 1.0, 3.0, 4.0)]
    exact = [tails(x, parts).p for x in points]
    monkeypatch.setattr(hypergeometric, "_LARGE", 0.0)
    for x, p in zip(points, exact, strict=True):
        assert tails(x, parts).p == pytest.approx(p, rel=0.1)


def test_impossible_counts_are_refused_with_what_is_possible() -> None:
    with pytest.raises(ValueError, match="parts that hold 2 to 5"):
        tails(6, np.array([(8, 5, 5)]))


def test_a_part_that_is_its_whole_cell_tells_nothing() -> None:
    found = tails(4, np.array([(9, 4, 9)]))
    assert (found.p, found.least_p) == (1.0, 1.0)


def grid(cells: int) -> np.ndarray:
    """A worker's share of a wide grid: 340 trials a cell, settings of every difficulty."""
    rng = np.random.default_rng(4)
    wins, mine = rng.integers(1, 60, cells), rng.integers(1, 12, cells)
    return np.stack([np.full(cells, 340), wins, mine], axis=1)


def test_tails_that_are_cut_show_in_no_p() -> None:
    """Against a plain convolution of whole supports, out to p of 1e-100."""
    parts = grid(300)
    law = np.ones(1)
    for n, k, m in parts.tolist():
        law = np.convolve(law, hypergeom(n, k, m).pmf(np.arange(min(k, m) + 1)))
    mean = tails(0, parts).expected
    sd = (float(np.arange(law.size) ** 2 @ law) - mean**2) ** 0.5
    shown = []
    for z in (-9, -3, -1, 0, 1, 3, 9, 20):
        x = int(mean + z * sd)
        expected = min(1.0, 2 * float(min(law[: x + 1].sum(), law[x:].sum())))
        found = tails(x, parts).p
        assert found == pytest.approx(expected, rel=1e-8)
        assert abs(found - expected) < 1e-9
        shown.append(found)
    assert min(shown) < 1e-60
    assert tails(law.size - 1, parts).p == 0.0


def test_a_sums_cost_grows_about_as_its_trials_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """In products that are summed; whole supports, convolved, take 16 times for 4 times."""
    products = 0
    plain = np.convolve

    def counted(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        nonlocal products
        products += a.size * b.size
        return plain(a, b)

    monkeypatch.setattr(hypergeometric.np, "convolve", counted)
    monkeypatch.setattr(hypergeometric, "_LARGE", 1e9)
    work = []
    for cells in (1456, 5824):
        products = 0
        parts = grid(cells)
        tails(int(tails(0, parts).expected), parts)
        work.append(products)
    assert work[1] < 6 * work[0]
    assert work[0] < 30 * grid(1456)[:, 0].sum()

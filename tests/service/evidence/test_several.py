"""Several arms on the same blocks: Cochran's Q, McNemar with Holm, adjusted p-values."""

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.multitest import multipletests

from service.evidence.pairs import Pairs
from service.evidence.several import Blocks, holm

patterns = st.dictionaries(
    st.tuples(st.booleans(), st.booleans(), st.booleans()), st.integers(1, 40), min_size=1
)


def rows(blocks: Blocks) -> np.ndarray:
    return np.array([p for p, count in blocks.patterns.items() for _ in range(count)], dtype=int)


def test_cochrans_q_has_its_published_value() -> None:
    """Cochran 1950, table 1: four media for diphtheria bacilli, 69 specimens, Q = 8.05 at 3."""
    found = Blocks(
        ("A", "B", "C", "D"),
        {
            (True, True, True, True): 4,
            (True, True, False, True): 2,
            (False, True, True, True): 3,
            (False, True, False, True): 1,
            (False, False, False, False): 59,
        },
    ).cochran_q()
    assert found.statistic == pytest.approx(8.05, abs=5.1e-3)
    assert found.p == pytest.approx(0.045, abs=5.1e-4)


@given(patterns)
def test_cochrans_q_is_statsmodels_of_the_rows(found: dict[tuple[bool, ...], int]) -> None:
    blocks = Blocks(("a", "b", "c"), found)
    test = blocks.cochran_q()
    if all(len(set(pattern)) == 1 for pattern in found):
        assert (test.p, test.statistic) == (1.0, 0.0)
        return
    second = cochrans_q(rows(blocks))
    assert test.statistic == pytest.approx(second.statistic, rel=1e-9, abs=1e-9)
    assert test.p == pytest.approx(second.pvalue, rel=1e-9)


def test_of_two_arms_q_is_mcnemars_chi_squared() -> None:
    blocks = Blocks(("a", "b"), {(True, False): 30, (False, True): 12, (True, True): 9})
    assert blocks.cochran_q().statistic == pytest.approx(18**2 / 42)


def test_a_million_blocks_are_no_more_work_than_ten() -> None:
    every = dict.fromkeys(itertools.product((True, False), repeat=4), 62_500)
    blocks = Blocks(("a", "b", "c", "d"), every)
    assert blocks.n == 10**6
    assert blocks.cochran_q().p == pytest.approx(1.0)


def test_patterns_are_counted_from_a_table_of_outcomes() -> None:
    won = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], dtype=bool)
    blocks = Blocks.counted(("a", "b"), won)
    assert blocks.patterns == {(True, False): 2, (False, True): 1, (True, True): 1}
    pairs = blocks.pair(0, 1)
    assert (pairs.both, pairs.only_a, pairs.only_b, pairs.neither) == (1, 2, 1, 0)
    assert Blocks.counted(("a", "b"), np.zeros((0, 2), dtype=bool)).n == 0


@given(patterns)
def test_counting_the_rows_of_patterns_gives_them_back(found: dict[tuple[bool, ...], int]) -> None:
    blocks = Blocks(("a", "b", "c"), found)
    assert Blocks.counted(("a", "b", "c"), rows(blocks).astype(bool)) == blocks


@pytest.mark.parametrize("arms", [1, 62, 63, 64])
def test_any_number_of_arms_is_counted(arms: int) -> None:
    """64 is the most that a spec may have; one whole number holds 62."""
    won = np.zeros((3, arms), dtype=bool)
    won[0, arms - 1] = won[1, 0] = True
    blocks = Blocks.counted(tuple(map(str, range(arms))), won)
    assert blocks.n == 3
    assert blocks.pair(arms - 1, 0) == (Pairs(0, 1, 1, 1) if arms > 1 else Pairs(2, 0, 0, 1))


def test_each_pair_is_mcnemars_exact_with_holms_steps() -> None:
    """Smallest p times 3, then 2, then 1, never falling."""
    blocks = Blocks(
        ("a", "b", "c"),
        {(True, False, False): 10, (True, True, False): 4, (False, False, True): 1,
         (False, True, False): 2, (False, False, False): 50},
    )  # fmt: skip
    found = blocks.each_pair()
    assert [(one.arm, one.against) for one in found] == [("b", "a"), ("c", "a"), ("c", "b")]

    def exact(x: int, y: int) -> float:
        n = x + y
        return min(1.0, 2 * sum(comb(n, i) for i in range(min(x, y) + 1)) / 2**n)

    raw = [exact(2, 10), exact(1, 14), exact(1, 6)]
    assert [one.p for one in found] == pytest.approx(raw)
    order = np.argsort(raw)
    running, expected = 0.0, [0.0] * 3
    for step, place in enumerate(order):
        running = max(running, min(1.0, (3 - step) * raw[place]))
        expected[place] = running
    assert [one.holm for one in found] == pytest.approx(expected)


def test_holm_has_its_published_steps() -> None:
    """Benjamini & Hochberg 1995, section 4.1: of 15 p-values Holm keeps 3 at 5 %."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
         0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip
    by_holm = holm(p)
    assert sum(value is not None and value <= 0.05 for value in by_holm) == 3
    assert by_holm[0] == pytest.approx(0.0015)


def test_holm_is_that_of_statsmodels() -> None:
    draw = np.random.default_rng(9)
    for size in (1, 2, 7, 40):
        p = np.round(draw.random(size) ** 3, 2).tolist()  # with ties
        theirs = multipletests(p, method="holm")[1].tolist()
        assert holm(p) == pytest.approx(theirs, abs=1e-15)


def test_what_could_not_be_tested_stays_so_and_does_not_count() -> None:
    assert holm([0.01, None, 0.04]) == pytest.approx([0.02, None, 0.04])
    assert holm([None]) == [None]
    assert holm([]) == []


def test_where_there_is_nothing_to_compare_it_says_so() -> None:
    empty = Blocks(("a", "b"), {})
    assert (empty.cochran_q().p, empty.cochran_q().reason) == (None, "no complete block")
    assert [one.p for one in empty.each_pair()] == [None]
    alone = Blocks(("a",), {(True,): 3})
    assert "at least two" in alone.cochran_q().reason
    assert alone.each_pair() == []
    ties = Blocks(("a", "b"), {(True, True): 5, (False, False): 8})
    assert ties.cochran_q().p == 1.0


def test_few_blocks_that_tell_arms_apart_make_q_rough() -> None:
    few = Blocks(("a", "b"), {(True, False): 11, (True, True): 900})
    enough = Blocks(("a", "b"), {(True, False): 12, (True, True): 1})
    assert "rough" in few.cochran_q().reason
    assert enough.cochran_q().reason == ""


def test_a_pattern_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a pattern of 1 arms among 2"):
        Blocks(("a", "b"), {(True,): 3})

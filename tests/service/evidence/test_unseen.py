"""What is missing may have been anything: intervals and tests hold for every way to fill it in."""

from collections.abc import Iterator, Mapping
from itertools import product

import pytest

from service.evidence.pairs import Pairs, Sided
from service.evidence.sequential import (
    difference_sequence,
    difference_unseen,
    log_e_paired,
    p_anytime,
)
from service.evidence.unseen import Unseen, against_claim, unseen_of

#: what a pair may turn out as, by what is known of it: (both, only a, only b, neither)
BOTH, ONLY_A, ONLY_B, NEITHER = (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)
MAY_BE = {
    "a_won": (BOTH, ONLY_A),
    "a_lost": (ONLY_B, NEITHER),
    "b_won": (BOTH, ONLY_B),
    "b_lost": (ONLY_A, NEITHER),
    "missing": (BOTH, ONLY_A, ONLY_B, NEITHER),
}
TABLES = [Pairs(0, 30, 2, 0), Pairs(3, 14, 4, 19), Pairs(1, 2, 9, 3), Pairs(0, 1, 1, 0)]
MISSING = [
    {"a_won": 4},
    {"b_won": 4},
    {"a_lost": 3, "b_lost": 2},
    {"missing": 3},
    {"a_won": 2, "b_won": 1, "missing": 2},
    dict.fromkeys(MAY_BE, 1),
]


def unseen(counts: Mapping[str, int]) -> Unseen:
    """The groups of pairs that miss an outcome."""
    return unseen_of(**(dict.fromkeys(MAY_BE, 0) | dict(counts)))


def filled(pairs: Pairs, counts: Mapping[str, int]) -> Iterator[Pairs]:
    """Every table that the missing outcomes may have made."""
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    for ways in set(product(*(MAY_BE[kind] for kind in kinds))):
        cells = (pairs.both, pairs.only_a, pairs.only_b, pairs.neither)
        yield Pairs(*map(sum, zip(cells, *ways, strict=True)))


@pytest.mark.parametrize("counts", MISSING, ids=str)
@pytest.mark.parametrize("pairs", TABLES, ids=str)
def test_the_sequence_holds_that_of_every_table_filled_in(
    pairs: Pairs, counts: Mapping[str, int]
) -> None:
    low, high = difference_unseen(pairs, unseen(counts))
    ends = [difference_sequence(table) for table in set(filled(pairs, counts))]
    assert all(low <= one[0] + 1e-12 and one[1] - 1e-12 <= high for one in ends)
    assert pairs.difference is not None
    assert low <= pairs.difference <= high


def test_ties_that_may_be_missing_widen_the_sequence() -> None:
    """200 pairs in which only the arm that is ahead is known, and won: the other may have, too."""
    low, _ = difference_unseen(Pairs(0, 30, 2, 0), unseen({"a_won": 200}))
    assert low == difference_sequence(Pairs(200, 30, 2, 0))[0]
    assert low == pytest.approx(0.057, abs=0.001)
    assert difference_sequence(Pairs(0, 30, 2, 0))[0] > 0.45
    _, high = difference_unseen(Pairs(0, 2, 30, 0), unseen({"b_won": 200}))
    assert high == pytest.approx(-low)


@pytest.mark.parametrize("sided", ["two", "greater", "less"])
@pytest.mark.parametrize("counts", MISSING, ids=str)
@pytest.mark.parametrize("pairs", TABLES, ids=str)
def test_no_table_filled_in_tells_less_against_equal_arms(
    pairs: Pairs, counts: Mapping[str, int], sided: Sided
) -> None:
    worst = against_claim(pairs, unseen(counts), sided)
    every = set(filled(pairs, counts))
    assert worst.mcnemar(sided) == pytest.approx(max(t.mcnemar(sided) for t in every), abs=1e-12)
    e = log_e_paired(worst.only_a, worst.only_b, sided)
    lowest = min(log_e_paired(t.only_a, t.only_b, sided) for t in every)
    assert p_anytime(e) == pytest.approx(p_anytime(lowest))

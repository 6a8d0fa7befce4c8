"""Stop rules: what they need, where exactly they stop, and that what is unseen never stops them."""

import math
from itertools import product

import numpy as np
import pytest

from service.evidence.pairs import Pairs, Sided
from service.evidence.sequential import anytime, difference_sequence, log_e_paired
from service.evidence.stopping import Rule, When, rule_of, verdict
from service.evidence.unseen import Unseen

NONE = Unseen()


def rule(*when: When, alpha: float = 0.05, sided: Sided = "two", effect: float = 0.1) -> Rule:
    return Rule(when, alpha, sided, effect)


@pytest.mark.parametrize("sided", ["two", "greater"])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_evidence_stops_at_the_first_pair_that_brings_e_to_1_over_alpha(
    sided: Sided, alpha: float
) -> None:
    stops = [
        verdict(rule("evidence", alpha=alpha, sided=sided), Pairs(5, a, 2, 50), NONE) == "evidence"
        for a in range(60)
    ]
    first = stops.index(True)
    assert log_e_paired(first, 2, sided) >= -math.log(alpha) > log_e_paired(first - 1, 2, sided)
    assert all(stops[first:])


def test_one_sided_evidence_does_not_stop_for_the_other_side() -> None:
    lost = Pairs(0, 0, 60, 40)
    assert verdict(rule("evidence", sided="greater"), lost, NONE) is None
    assert verdict(rule("evidence", sided="less"), lost, NONE) == "evidence"
    assert verdict(rule("evidence"), lost, NONE) == "evidence"


@pytest.mark.parametrize(
    ("sided", "pairs", "stops"),
    [
        ("two", Pairs(0, 40, 40, 4000), True),
        ("two", Pairs(0, 40, 40, 200), False),  # the sequence is wider than the effect
        ("greater", Pairs(0, 40, 400, 1000), True),  # far below: an effect above is ruled out
        ("two", Pairs(0, 40, 400, 1000), False),  # but one below is not
        ("less", Pairs(0, 40, 400, 1000), False),
        ("less", Pairs(0, 400, 40, 1000), True),
    ],
)
def test_futile_means_that_no_planned_effect_is_left_in_the_sequence(
    sided: Sided, pairs: Pairs, *, stops: bool
) -> None:
    assert verdict(rule("futile", sided=sided), pairs, NONE) == ("futile" if stops else None)
    low, high = difference_sequence(pairs)
    inside = {"two": low > -0.1 and high < 0.1, "greater": high < 0.1, "less": low > -0.1}
    assert inside[sided] is stops


def test_a_difference_that_is_shown_but_small_stops_as_evidence() -> None:
    small = Pairs(0, 300, 150, 20_000)
    assert verdict(rule("futile"), small, NONE) == "futile"
    assert verdict(rule("evidence", "futile"), small, NONE) == "evidence"


@pytest.mark.parametrize("when", ["evidence", "futile"])
@pytest.mark.parametrize("sided", ["two", "greater", "less"])
def test_pairs_that_miss_an_outcome_stop_nothing_that_they_might_have_kept_going(
    when: When, sided: Sided
) -> None:
    """Whatever they were: with every way of filling them in the rule stops too."""
    stopped = 0
    for a, b in product((3, 12, 30), repeat=2):
        pairs, unseen = Pairs(9, a, b, 600), Unseen(for_a=4, for_b=3)
        if verdict(rule(when, sided=sided), pairs, unseen) is None:
            continue
        stopped += 1
        for x, y in product(range(5), range(4)):
            filled = Pairs(9, a + x, b + y, 600)
            assert verdict(rule(when, sided=sided), filled, NONE) == when
    assert stopped


def test_nothing_settled_stops_nothing() -> None:
    assert verdict(rule("evidence", "futile", alpha=0.5), Pairs(0, 0, 0, 0), NONE) is None
    assert verdict(rule("evidence"), Pairs(0, 0, 0, 0), Unseen(50, 50)) is None


def test_a_rule_without_what_it_needs_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="none is planned"):
        Rule(("futile",), 0.05, "two", None)
    with pytest.raises(ValueError, match="one or more of"):
        Rule((), 0.05, "two", None)


def test_a_rule_comes_back_from_json() -> None:
    made = rule("evidence", "futile")
    assert rule_of(vars(made) | {"when": ["evidence", "futile"]}) == made
    assert rule_of(None) is None


def test_evidence_holds_its_alpha_over_all_looks_and_a_naive_rule_does_not() -> None:
    """40 looks of 50 pairs under no effect; the naive rule stops where z > 1.96 at some look."""
    runs, looks = _looks(seed=8, runs=400, looks=40, effect=0.0)
    ours = sum(any(verdict(rule("evidence"), p, NONE) for p in run) for run in looks)
    naive = sum(any(_beyond(p) for p in run) for run in looks)
    assert ours <= 0.05 * runs
    assert naive > 0.15 * runs


def test_futility_holds_its_alpha_over_all_looks_and_a_naive_rule_does_not() -> None:
    """20 looks of 100 pairs under exactly the planned effect; the naive rule trusts an interval."""
    runs, looks = _looks(seed=8, runs=100, looks=20, effect=0.1)
    ours = sum(any(verdict(rule("futile"), p, NONE) for p in run) for run in looks)
    naive = sum(any(_inside(p) for p in run) for run in looks)
    assert ours <= 0.05 * runs
    assert naive > 0.08 * runs


def _looks(*, seed: int, runs: int, looks: int, effect: float) -> tuple[int, list[list[Pairs]]]:
    rng = np.random.default_rng(seed)
    chances = [0.1, 0.15 + effect / 2, 0.15 - effect / 2, 0.6]
    tables = rng.multinomial(2000 // looks, chances, size=(runs, looks)).cumsum(axis=1)
    return runs, [[Pairs(*map(int, table)) for table in run] for run in tables]


def _beyond(pairs: Pairs) -> bool:
    apart = pairs.only_a + pairs.only_b
    return apart > 0 and abs(pairs.only_a - pairs.only_b) > 1.96 * math.sqrt(apart)


def _inside(pairs: Pairs) -> bool:
    found = pairs.interval()
    return found is not None and found[0] > -0.1 and found[1] < 0.1


def test_the_verdict_is_of_what_anytime_says() -> None:
    pairs, unseen = Pairs(3, 25, 6, 100), Unseen(2, 1)
    found = anytime(pairs, unseen)
    assert (verdict(rule("evidence"), pairs, unseen) == "evidence") is (found.p <= 0.05)

"""What is said of a contrast follows the test that was declared, and never more than it."""

from typing import Any

import pytest

from service.evidence.pairs import Pairs, Sided
from service.evidence.unseen import Unseen, against_claim, unseen_of
from service.report.claim import claim

NOTHING = Unseen()


def said(
    pairs: Pairs, sided: Sided = "two", *, flips: bool = False, unseen: Unseen = NOTHING
) -> str:
    """The sentence on a complete contrast of these pairs."""
    k: dict[str, Any] = {
        "interval": pairs.interval(),
        "p": pairs.mcnemar(sided),
        "p_least_favourable": against_claim(pairs, unseen, sided).mcnemar(sided),
        "sided": sided,
        "bounds_allow_other_sign": flips,
    }
    return claim(k, "noisy")


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (Pairs(10, 30, 5, 55), "noisy succeeds more often: interval and test agree."),
        (Pairs(10, 5, 30, 55), "noisy succeeds less often: interval and test agree."),
        (Pairs(10, 8, 7, 75), "No difference is shown: the interval holds zero"),
        # 5 against 0 of 100: Newcombe's interval is [+0.3, +11.2] points, exact p 0.0625
        (Pairs(0, 5, 0, 95), "No claim: the interval lies on one side of zero, but p is not"),
    ],
)
def test_a_two_sided_claim_needs_interval_and_test(pairs: Pairs, words: str) -> None:
    assert said(pairs).startswith(words)


def test_a_one_sided_claim_keeps_to_its_direction() -> None:
    ahead = Pairs(10, 30, 5, 55)
    assert "declared, noisy succeeds more often" in said(ahead, "greater")
    assert "does not show that noisy succeeds less often" in said(ahead, "less")
    assert "does not show that noisy succeeds more often" in said(Pairs(10, 8, 7, 75), "greater")


@pytest.mark.parametrize("sided", ["two", "greater"])
def test_missing_outcomes_that_could_take_a_claim_back_forbid_it(sided: Sided) -> None:
    """40 against 22 is p = 0.030; were 15 whose partner is unknown lost, 40 against 37 is 0.82."""
    pairs = Pairs(100, 40, 22, 100)
    assert said(pairs, sided).endswith(("interval and test agree.", "noisy succeeds more often."))
    undone = said(pairs, sided, unseen=unseen_of(a_won=0, a_lost=15, b_won=0, b_lost=0, missing=0))
    assert undone == "No claim: the outcomes that are missing could undo it."
    slight = said(pairs, sided, unseen=unseen_of(a_won=15, a_lost=1, b_won=0, b_lost=0, missing=0))
    assert slight == said(pairs, sided)


def test_missing_outcomes_that_could_turn_the_sign_forbid_every_claim() -> None:
    assert said(Pairs(10, 30, 5, 55), flips=True).startswith("No claim: the outcomes that are")

"""Pairs of which a member has no outcome: every way in which they might have turned out.

A pair gives y = 0 where only b succeeds, 1/2 where both or neither do, and 1 where only a does. One
whose member is missing is not free in this: where a won, it is "only a" or "both". Each lower
y makes a difference's interval end lower, and each higher one higher (checked by brute force in
`tests/service/evidence/test_unseen.py`), so of all ways to fill in, the least and the most suffice.
"""

from dataclasses import dataclass, replace

from service.evidence.pairs import Pairs, Sided


@dataclass(frozen=True)
class Unseen:
    """Pairs of which a member has no outcome, each in one of three groups.

    Attributes:
        for_a: only a is known and won, or only b and lost: "only a", or a tie.
        for_b: only a is known and lost, or only b and won: "only b", or a tie.
        missing: neither is known: anything.
    """

    for_a: int = 0
    for_b: int = 0
    missing: int = 0


def unseen_of(*, a_won: int, a_lost: int, b_won: int, b_lost: int, missing: int) -> Unseen:
    """The groups, from pairs by which member has an outcome and whether it succeeded."""
    return Unseen(a_won + b_lost, a_lost + b_won, missing)


def least(pairs: Pairs, unseen: Unseen) -> Pairs:
    """The table in which all that is missing speaks for b as much as it can."""
    return replace(
        pairs,
        only_b=pairs.only_b + unseen.for_b + unseen.missing,
        neither=pairs.neither + unseen.for_a,
    )


def most(pairs: Pairs, unseen: Unseen) -> Pairs:
    """The table in which all that is missing speaks for a as much as it can."""
    return replace(
        pairs,
        only_a=pairs.only_a + unseen.for_a + unseen.missing,
        neither=pairs.neither + unseen.for_b,
    )


def against_claim(pairs: Pairs, unseen: Unseen, sided: Sided) -> Pairs:
    """The table in which discordant pairs show the least, for any test of "each wins half".

    One-sided, all that may be goes to the other arm; two-sided, what would bring the arms level.
    Ties tell such a test nothing, so none is put in. Level arms have p = 1 and an e-value below 1.
    """
    a, b = pairs.only_a, pairs.only_b
    for_a, for_b = unseen.for_a + unseen.missing, unseen.for_b + unseen.missing
    if sided == "greater":
        b += for_b
    elif sided == "less":
        a += for_a
    elif a >= b:
        b += min(for_b, a - b)
    else:
        a += min(for_a, b - a)
    return replace(pairs, only_a=a, only_b=b)

"""Stop rules: when the pairs of whole settled cohorts say that a sweep need go no further.

Both look after every cohort, so both rest on what holds at every look: an e-value (Ville 1939) and
a confidence sequence. Neither uses a fixed-n test, whose p would mean nothing at such a moment.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from service.evidence.pairs import Pairs, Sided
from service.evidence.sequential import difference_unseen, log_e_unseen
from service.evidence.unseen import Unseen

When = Literal["evidence", "futile"]
WHEN: tuple[When, ...] = get_args(When)


@dataclass(frozen=True)
class Rule:
    """When a sweep stops.

    Attributes:
        when: `evidence`: the primary contrast's e-value reaches 1 / alpha; `futile`: the planned
            effect is ruled out.
        alpha: the chance that a rule ever stops on what is not so.
        sided: of the primary contrast.
        effect: the planned difference of rates, more than 0; needed by `futile`.

    Raises:
        ValueError: nothing to look at, or futility without an effect.
    """

    when: tuple[When, ...]
    alpha: float
    sided: Sided
    effect: float | None

    def __post_init__(self) -> None:
        if not self.when or not set(self.when) <= set(WHEN):
            raise ValueError(f"a stop rule looks at {self.when}; it is one or more of {WHEN}")
        if "futile" in self.when and self.effect is None:
            raise ValueError("futile means that an effect is ruled out; none is planned; name one")


def rule_of(content: Mapping[str, Any] | None) -> Rule | None:
    """A rule from its fields as JSON keeps them; none from none."""
    return None if content is None else Rule(**{**content, "when": tuple(content["when"])})


def verdict(rule: Rule, pairs: Pairs, unseen: Unseen) -> When | None:
    """Why the sweep stops at this look, or None.

    Pairs that miss an outcome count against every stop: for the e-value as the outcome less
    favourable to the claim, for the sequence as whatever widens it. A difference that is shown but
    smaller than was planned stops as evidence where both are asked for.

    Args:
        rule: what is looked for.
        pairs: all pairs of settled cohorts whose members both have an outcome.
        unseen: the others.
    """
    if not pairs.n:
        return None
    if "evidence" in rule.when:
        log_e = log_e_unseen(pairs, unseen, rule.sided)
        if log_e >= -math.log(rule.alpha):
            return "evidence"
    if "futile" in rule.when and rule.effect is not None:
        interval = difference_unseen(pairs, unseen, rule.alpha)
        if ruled_out(rule.sided, interval, rule.effect):
            return "futile"
    return None


def ruled_out(sided: Sided, interval: tuple[float, float], effect: float) -> bool:
    """Whether no difference as large as planned, in a direction that was declared, is left.

    Args:
        sided: which directions those are.
        interval: a confidence sequence's, of rate a - rate b.
        effect: more than 0.
    """
    low, high = interval
    if sided == "greater":
        return high < effect
    if sided == "less":
        return low > -effect
    return high < effect and low > -effect

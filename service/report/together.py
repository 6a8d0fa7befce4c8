"""The evidence of two sweeps together: one primary contrast that both declare, on other pairs."""

from dataclasses import dataclass
from typing import Any

from service.evidence.merging import Part, SharedPairsError, merged
from service.evidence.sequential import Anytime, anytime, p_anytime
from service.plan import Contrast, Criterion, Plan
from service.report.shared import Side
from service.store.pairing import PairCounts

HOLDS = (
    "the product is an e-value against: in neither sweep do the arms differ, so it does not say in "
    "which they do; it holds whenever either was looked at, stopped or begun, and not if these "
    "two were picked from among more sweeps by what they had found"
)

_RULE = (
    "e-values are multiplied where both sweeps declare the same primary contrast, and none is "
    "declared after the fact; submit one of them under another root with the other's contrast"
)


@dataclass(frozen=True)
class Evidence:
    """What a sweep's primary contrast has come to, over its settled pairs.

    Attributes:
        counts: None where it has no primary contrast.
    """

    side: Side
    counts: PairCounts | None


def together(one: Evidence, other: Evidence) -> dict[str, Any]:
    """Both e-values, their product and p; or why they are not multiplied."""
    if one.counts is None or other.counts is None:
        none = one.side if one.counts is None else other.side
        return {"not_possible": f"sweep {none.sweep} declares no primary contrast; {_RULE}"}
    why = _apart(one.side, other.side)
    if why is not None:
        return {"not_possible": why}
    found = [(e, c, _look(c)) for e, c in ((one, one.counts), (other, other.counts))]
    try:
        log_e = merged([_part(e.side, look) for e, _, look in found])
    except SharedPairsError as error:
        return {"not_possible": str(error), "shared_pairs": error.pairs}
    rule = _primary(one.side.plan)
    differences = [c.pairs.difference for _, c, _ in found]
    return {
        "not_possible": None,
        "metric": rule.metric,
        "comparison": rule.comparison,
        "threshold": rule.threshold,
        "at": rule.at,
        "sided": one.counts.sided,
        "parts": [_part_json(e.side, c, look) for e, c, look in found],
        "log_e": log_e,
        "p": p_anytime(log_e),
        "same_direction": None
        if None in differences or 0 in differences
        else len({d > 0 for d in differences if d is not None}) == 1,
        "holds": HOLDS,
    }


def _look(counts: PairCounts) -> Anytime:
    """Of no pairs e is 1, and nothing is ruled out."""
    return anytime(counts.pairs, counts.unseen, counts.sided)


def _part(side: Side, look: Anytime) -> Part:
    """Its pairs are those of the whole plan: what is disjoint today stays so."""
    seeds = {s.hash: range(side.plan.seeds) for s in side.plan.settings}
    return Part(f"sweep {side.sweep}", look.log_e, side.plan.spec["root"], seeds)


def _part_json(side: Side, counts: PairCounts, look: Anytime) -> dict[str, Any]:
    arms, pairs = side.plan.arms, counts.pairs
    return {
        "sweep": side.sweep,
        "arm": arms[counts.arm].name,
        "against": arms[counts.against].name,
        "pairs": pairs.n,
        "table": {k: getattr(pairs, k) for k in ("both", "only_a", "only_b", "neither")},
        "difference": pairs.difference,
        "log_e": look.log_e,
        "p": look.p,
        "interval": list(look.interval),
    }


def _apart(one: Side, other: Side) -> str | None:
    """Why the two sweeps do not ask the same question; None where they do."""
    a, b = one.plan, other.plan
    apart = [] if a.experiment == b.experiment else ["the experiment"]
    if a.structures[0].pack.steps != b.structures[0].pack.steps:
        apart.append("the budget")
    if _asked(_primary(a)) != _asked(_primary(b)):
        apart.append(f"the criterion ({_said(_primary(a))}, and {_said(_primary(b))})")
    if a.contrast is not None and b.contrast is not None:
        apart += _contrasts_apart(a, a.contrast, b, b.contrast)
    if not apart:
        return None
    return (
        f"the primary contrasts of {one.sweep} and {other.sweep} differ in {', '.join(apart)}; "
        f"{_RULE}"
    )


def _contrasts_apart(a: Plan, one: Contrast, b: Plan, other: Contrast) -> list[str]:
    apart = []
    if one.sided != other.sided:
        apart.append(f"the side ({one.sided}, and {other.sided})")
    pairs = [(one.arm, other.arm), (one.against, other.against)]
    of_a, of_b = ({arm.name: arm.overrides for arm in p.arms} for p in (a, b))
    names = {n for x, y in pairs for n in (*of_a[x], *of_b[y])}
    for x, y in pairs:
        values = [
            {n: o.get(n, p.spec["fixed"].get(n)) for n in sorted(names)}
            for p, o in ((a, of_a[x]), (b, of_b[y]))
        ]
        if values[0] != values[1]:
            apart.append(f"the arms ({x} is {values[0]}, and {y} is {values[1]})")
    return apart


def _primary(plan: Plan) -> Criterion:
    return next(rule for rule in plan.criteria if rule.primary)


def _asked(rule: Criterion) -> tuple[str, str, float, str]:
    return rule.metric, rule.comparison, rule.threshold, rule.at


def _said(rule: Criterion) -> str:
    return f"{rule.metric} {rule.comparison} {rule.threshold} at {rule.at}"

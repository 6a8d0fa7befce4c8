"""What two sweeps share: a pair of an arm here and an arm there, or why there is none.

A pair is one setting and seed under one root, trained and evaluated alike (DESIGN.md, promise 3):
streams are keyed by root, setting's hash, seed and segment, so that its members draw the same
initial weights, data and evaluations. All of it is decided from the two plans alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.plan import Arm, Criterion, Plan
from service.spec.problems import Problem, near, shown
from workers.messages import PackSpec

#: what packs of the members of a pair agree in -> how a reason calls it
_ALIKE = {
    "steps": "budget",
    "segment": "segment",
    "evaluate_every": "segments from evaluation to evaluation",
    "expensive": "evaluation of expensive metrics",
    "leave": "leave rule",
}


class ChoiceError(ValueError):
    """What was asked for is not in the sweeps, or not said; `problems` names each."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{p.field}: {p.rule} ({p.cure})" for p in problems))
        self.problems = problems


@dataclass(frozen=True)
class Side:
    """A sweep of the two, by its id, and its plan."""

    sweep: str
    plan: Plan


@dataclass(frozen=True)
class Shared:
    """The settings in which two arms have pairs, and the criteria by which both are judged.

    Attributes:
        settings: (index here, index there) of each; their hashes are equal.
        seeds: how many seeds of each setting both plans have, from 0 on.
        rules: the criterion here, and the same one there.
    """

    settings: tuple[tuple[int, int], ...]
    seeds: int
    rules: tuple[tuple[Criterion, Criterion], ...]


def chosen(side: Side, name: str | None, field: str) -> Arm | None:
    """The arm of that name, or the only one; None where several are there and none is named.

    Raises:
        ChoiceError: the sweep has no such arm.
    """
    arms = {arm.name: arm for arm in side.plan.arms}
    if name is None:
        return side.plan.arms[0] if len(arms) == 1 else None
    if name not in arms:
        rule = f"sweep {side.sweep} has no such arm"
        raise ChoiceError(Problem(f"query.{field}", shown(name), rule, near(name, arms)))
    return arms[name]


def unnamed(side: Side, field: str) -> Problem:
    """What is wrong where an arm has to be named."""
    names = ", ".join(repr(arm.name) for arm in side.plan.arms)
    rule = f"sweep {side.sweep} has {len(side.plan.arms)} arms, and one of them is compared"
    return Problem(f"query.{field}", "nothing", rule, f"name one of {names}")


def rules_of(
    one: Side, other: Side, metric: str | None, threshold: float | None
) -> tuple[tuple[Criterion, Criterion], ...]:
    """Criteria that both sweeps have, of this metric and threshold if they are given.

    Raises:
        ChoiceError: both sweeps have criteria in common, but none as asked for.
    """
    there = {_rule(rule): rule for rule in other.plan.criteria}
    both = [(rule, there[_rule(rule)]) for rule in one.plan.criteria if _rule(rule) in there]
    found = tuple(
        pair
        for pair in both
        if metric in (None, pair[0].metric) and threshold in (None, pair[0].threshold)
    )
    if both and not found:
        asked = {"metric": metric, "threshold": threshold}
        given = {k: v for k, v in asked.items() if v is not None}
        known = "; ".join(_said(rule) for rule, _ in both)
        raise ChoiceError(
            *(
                Problem(f"query.{k}", shown(v), "no criterion of both sweeps is so", f"use {known}")
                for k, v in given.items()
            )
        )
    return found


def no_pairs(one: Side, other: Side) -> str | None:
    """Why no trials of the two sweeps are pairs, whatever their arms; None where some may be."""
    a, b = one.plan, other.plan
    apart = []
    if a.root != b.root:
        apart.append(f"the root ({a.spec['root']} and {b.spec['root']})")
    if a.experiment != b.experiment:
        apart.append(f"the experiment ({a.experiment} and {b.experiment})")
    elif not {s.hash for s in a.settings} & {s.hash for s in b.settings}:
        apart.append(f"the settings ({_values_apart(a, b)})")
    for name, said in _ALIKE.items():
        if name != "segment":  # it depends on the arm
            apart += _apart(said, a.structures[0].pack, b.structures[0].pack, name)
    return _no_pair(apart) if apart else None


def shared(
    one: Side, other: Side, arm: Arm, against: Arm, rules: Sequence[tuple[Criterion, Criterion]]
) -> Shared | str:
    """The pairs of two arms in plans of which `no_pairs` says nothing, or why there are none."""
    a, b = one.plan, other.plan
    there = {s.hash: s.index for s in b.settings}
    settings = tuple((s.index, there[s.hash]) for s in a.settings if s.hash in there)
    packs_a, packs_b = _trained(a, arm), _trained(b, against)
    for here, where in settings:
        apart = _apart("segment", packs_a[here][0], packs_b[where][0], "segment")
        if apart:
            return _no_pair(apart)
        if packs_a[here] == packs_b[where]:
            return (
                f"arm {arm.name!r} of {one.sweep} and arm {against.name!r} of {other.sweep} "
                "resolve to the same values, so that their trials are the same trials run twice; "
                "a pair is of two arms that differ; name another arm"
            )
    if not rules:
        lists = [", ".join(_said(rule) for rule in side.plan.criteria) for side in (one, other)]
        return (
            f"no criterion is in both sweeps ({lists[0]}; and {lists[1]}); pairs are judged by the "
            "same metric, comparison, threshold and evaluation; add the missing one to either "
            "(PATCH /sweeps/{id}), which trains nothing"
        )
    return Shared(settings, min(a.seeds, b.seeds), tuple(rules))


def _trained(plan: Plan, arm: Arm) -> dict[int, tuple[PackSpec, Mapping[str, float]]]:
    """Setting -> what an arm's trials train there, shared and per-lane values."""
    return {
        cell.setting: (plan.structures[cell.structure].pack, cell.values)
        for cell in plan.cells
        if cell.arm == arm.index
    }


def _apart(said: str, a: PackSpec, b: PackSpec, name: str) -> list[str]:
    """The difference of one field, if there is one."""
    x, y = getattr(a, name), getattr(b, name)
    return [] if x == y else [f"the {said} ({_value(x)} and {_value(y)})"]


def _value(value: Any) -> str:
    if value is None:
        return "never"
    if isinstance(value, int | str):
        return str(value)
    return f"{value.metric} {value.comparison} {value.threshold}"


def _no_pair(apart: Sequence[str]) -> str:
    return (
        f"no trials of the two sweeps are pairs: they differ in {', '.join(apart)}; a pair is one "
        "setting and seed under one root, trained and evaluated alike; submit one of them again "
        "with what the other has"
    )


def _values_apart(a: Plan, b: Plan) -> str:
    """In which hyper-parameters the first settings of two plans differ."""
    one, other = ({**p.spec["fixed"], **p.settings[0].values} for p in (a, b))
    names = [n for n in sorted(one.keys() | other.keys()) if one.get(n) != other.get(n)]
    said = [f"{n} {one.get(n)!r} and {other.get(n)!r}" for n in names[:_MOST]]
    more = [f"{len(names) - _MOST} more"] if len(names) > _MOST else []
    return "the first ones by " + ", ".join(said + more) if names else "no hash is in both"


#: hyper-parameters that a reason names
_MOST = 4


def _rule(rule: Criterion) -> tuple[str, str, float, str]:
    return rule.metric, rule.comparison, rule.threshold, rule.at


def _said(rule: Criterion) -> str:
    return f"{rule.metric} {rule.comparison} {rule.threshold} at {rule.at}"

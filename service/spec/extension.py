"""Extensions of a sweep: what may be asked, and what of the extended plan is missing.

A body names the target, so that the same body again asks for nothing more. The extended spec is
judged as one that is submitted whole; what exists of its plan keeps its place and its trials.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field, ValidationError

from models.experiment import Experiment
from service.plan import Arm, Cell, Extension, Plan, Setting, Structure
from service.spec.additions import judge_additions
from service.spec.parse import identity, parse
from service.spec.problems import Problem, SpecError, from_pydantic, shown
from service.spec.shape import Name, Shape, Strict, Threshold, Value, Values
from service.words import rule as said

_OTHER = "trials that differ in it would answer another question than those that are there"
_WHY = {
    "budget": "a trial of another budget has another success: its estimand is another",
    "success": "what a success is was declared; PATCH adds criteria, marked post hoc",
    "primary": "the primary contrast was declared before the first trial",
    "root": "pairs share the streams of one root",
    "cohort": "evidence advances by cohorts of one size",
    "stop": "a stop rule is declared before the first trial",
}


class Extend(Strict):
    """What a sweep is to have: seeds a cell, and arms and values of its grid beside its own."""

    seeds: Annotated[int, Field(ge=1)] | None = None
    arms: Annotated[dict[Name, Values], Field(max_length=64, default_factory=dict)]
    grid: dict[str, list[Value]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """What an extension adds.

    Attributes:
        plan: the whole plan as extended; what there was keeps its indices.
        arms, settings, structures, cells: those of it that are new. New cells have structures, and
            so queues, of their own, whose packs equal those of the old ones.
    """

    plan: Plan
    arms: tuple[Arm, ...]
    settings: tuple[Setting, ...]
    structures: tuple[Structure, ...]
    cells: tuple[Cell, ...]


def read_extension(body: object) -> Extend:
    """The extension that a body asks for.

    Raises:
        SpecError: with every problem that was found.
    """
    if not isinstance(body, dict):
        rule = f"an extension is a JSON object, not a {type(body).__name__}"
        raise SpecError([Problem("body", shown(body), rule, "send an object such as {seeds}")])
    never = sorted(body.keys() & (Shape.model_fields.keys() | _WHY.keys()) - {*Extend.model_fields})
    if never:
        cure = "leave it out, or submit another sweep"
        raise SpecError([Problem(k, shown(body[k]), _WHY.get(k, _OTHER), cure) for k in never])
    try:
        wanted = Extend.model_validate(body)
    except ValidationError as error:
        raise SpecError(from_pydantic(error, "", Extend)) from error
    if not wanted.model_fields_set:
        rule = "an extension names seeds, arms or values of the grid"
        raise SpecError([Problem("body", "{}", rule, "say what the sweep is to have")])
    return wanted


def missing(
    plan: Plan,
    wanted: Extend,
    experiments: Mapping[str, Experiment],
    *,
    settled: int,
    stopped: Mapping[str, Any] | None = None,
    cancelled: bool = False,
) -> Missing | None:
    """What a plan lacks of what is wanted; None if nothing.

    Args:
        settled: cohorts that are settled.
        stopped: why and where a stop rule ended the sweep.
        cancelled: whether it was cancelled. If it had been extended, then its plan is missing
            also where it has all that is wanted: it is taken up again.

    Raises:
        SpecError: what is wanted breaks a rule, or takes away what is there.
    """
    body = _target(plan, wanted, stopped)
    known = {(cell.arm, cell.setting): cell for cell in plan.cells}
    whole = parse(body, experiments)
    arms = _merged(plan.arms, whole.arms, lambda arm: arm.name)
    settings = _merged(plan.settings, whole.settings, lambda setting: setting.hash)
    arm_of = {arm.name: arm.index for arm in arms}
    setting_of = {setting.hash: setting.index for setting in settings}
    structures: dict[str, Structure] = {}
    cells: list[Cell] = []
    for cell in whole.cells:
        arm = arm_of[whole.arms[cell.arm].name]
        setting = setting_of[whole.settings[cell.setting].hash]
        pack = whole.structures[cell.structure].pack
        there = known.pop((arm, setting), None)
        if there is not None:
            same = plan.structures[there.structure].pack == pack and there.values == cell.values
            if not same:
                raise SpecError([_otherwise(plan)])
            continue
        place = len(plan.structures) + len(structures)
        structure = structures.setdefault(repr(pack), Structure(place, pack))
        cells.append(Cell(len(plan.cells) + len(cells), arm, setting, structure.index, cell.values))
    if known:
        raise SpecError([_otherwise(plan)])
    if not cells and whole.seeds == plan.seeds and stopped is None:
        again = cancelled and plan.extensions
        return Missing(plan, (), (), (), ()) if again else None
    spec = dict(whole.spec)
    if plan.contrast is None:  # one of two arms would be declared now, after the outcomes
        spec.pop("primary", None)
    old = plan.spec["grid"]
    extension = Extension(
        seeds=(plan.seeds, whole.seeds),
        arms=tuple(arm.name for arm in arms[len(plan.arms) :]),
        grid={k: [v for v in spec["grid"][k] if v not in old[k]] for k in old},
        settled=settled,
        stopped=stopped,
    )
    extended = replace(
        plan,
        spec=spec,
        arms=arms,
        settings=settings,
        structures=(*plan.structures, *structures.values()),
        cells=(*plan.cells, *cells),
        seeds=whole.seeds,
        extensions=(*plan.extensions, extension),
    )
    if cells:
        _judge_added(extended, experiments[plan.experiment])
    return Missing(
        extended,
        arms[len(plan.arms) :],
        settings[len(plan.settings) :],
        tuple(structures.values()),
        tuple(cells),
    )


def _judge_added(extended: Plan, experiment: Experiment) -> None:
    """Criteria that were added are not in the spec: whether new cells can be judged by them."""
    problems = []
    for c in (c for c in extended.criteria if c.version > 1):
        limit = {c.comparison: c.threshold}
        try:
            wanted = Threshold.model_validate({"metric": c.metric, "at": c.at} | limit)
            judge_additions([wanted], extended, experiment)
        except SpecError as error:
            why = "; ".join(p.rule for p in error.problems)
            words = f"this criterion was added, and no new trial may lack it: {why}"
            cure = "leave out what cannot be judged by it, or submit that as another sweep"
            problems.append(Problem(f"criteria.{c.index}", said(vars(c)), words, cure))
    if problems:
        raise SpecError(problems)


def _merged(old: Any, new: Any, name: Any) -> Any:
    """What there was, and after it what is new."""
    known = {name(item) for item in old}
    fresh = [item for item in new if name(item) not in known]
    return (*old, *(replace(item, index=len(old) + i) for i, item in enumerate(fresh)))


def _target(plan: Plan, wanted: Extend, stopped: Mapping[str, Any] | None) -> dict[str, Any]:
    """The spec as it would be submitted whole."""
    problems: list[Problem] = []
    spec = plan.spec
    seeds = plan.seeds if wanted.seeds is None else wanted.seeds
    if stopped is not None and wanted.seeds is None:
        done = stopped["cohort"] * plan.cohort
        rule = f"its stop rule ended the sweep after {done} of {plan.seeds} seeds a cell"
        cure = "say with seeds how many a cell it is to have"
        problems.append(Problem("seeds", "none", rule, cure))
    if stopped is None and seeds < plan.seeds:
        rule = f"the sweep has {plan.seeds} seeds a cell, and no trial is taken away"
        problems.append(Problem("seeds", str(seeds), rule, f"use {plan.seeds} or more"))
    for name, overrides in wanted.arms.items():
        if name in spec["arms"] and spec["arms"][name] != overrides:
            rule = f"the sweep has an arm of this name, which is {shown(spec['arms'][name])}"
            problems.append(
                Problem(f"arms.{name}", shown(overrides), rule, "give the new arm another name")
            )
    grid = {key: list(values) for key, values in spec["grid"].items()}
    for key, values in wanted.grid.items():
        if key not in grid:
            rule = f"{key} is fixed in this sweep; its grid is {', '.join(grid) or 'empty'}"
            cure = "submit another sweep whose grid has it, with the same root"
            problems.append(Problem(f"grid.{key}", shown(values), rule, cure))
            continue
        there = {identity(value) for value in grid[key]}
        grid[key] += [value for value in values if identity(value) not in there]
    if problems:
        raise SpecError(problems)
    return {**spec, "seeds": seeds, "arms": {**spec["arms"], **wanted.arms}, "grid": grid}


def _otherwise(plan: Plan) -> Problem:
    rule = "this version of the experiment resolves the sweep's own settings to other trials"
    cure = "go back to the version that ran it, or submit another sweep"
    return Problem("experiment", shown(plan.experiment), rule, cure)

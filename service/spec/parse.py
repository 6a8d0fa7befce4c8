"""Parses a spec into a plan: every key checked, every cell resolved, every count multiplied first.

What can be decided without building anything (sizes) is decided before anything is built.
"""

import itertools
import math
import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from models.experiment import Experiment
from service.plan import Arm, Cell, Contrast, Plan, Setting, Structure
from service.spec.criteria import build_criteria, leave_rule
from service.spec.problems import Problem, SpecError, from_pydantic, near, shown
from service.spec.shape import LATER_KEYS, Shape
from workers.messages import PackSpec

MOST_TRIALS = 10_000_000
MOST_CELLS = 100_000
COHORT = 50


def parse(body: object, experiments: Mapping[str, Experiment]) -> Plan:
    """The plan of a spec.

    Args:
        body: what came as JSON.
        experiments: the catalogue, by name.

    Raises:
        SpecError: with every problem that was found.
    """
    shape = _shape(body)
    experiment = experiments.get(shape.experiment)
    if experiment is None:
        cure = near(shape.experiment, experiments)
        raise SpecError(
            [Problem("experiment", shown(shape.experiment), "no experiment of this name", cure)]
        )
    _sizes(shape)
    _raise(_names(shape, experiment))
    _raise(_values(shape, experiment))
    root = shape.root or secrets.token_hex(16)
    return _Builder(shape, experiment, root).plan()


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise SpecError(problems)


def _shape(body: object) -> Shape:
    """The outer shape, with keys of later versions refused by name."""
    if not isinstance(body, dict):
        rule = f"a spec is a JSON object, not a {type(body).__name__}"
        raise SpecError([Problem("body", shown(body), rule, "send an object with the spec's keys")])
    later = [
        Problem(key, shown(body[key]), f"{what} are not built yet", f"leave {key} out")
        for key, what in LATER_KEYS.items()
        if key in body
    ]
    if body.get("keep_weights", "none") in ("successes", "all"):
        rule = "keeping weights is not built yet"
        value = shown(body["keep_weights"])
        later.append(Problem("keep_weights", value, rule, "use none or leave it out"))
    rest = {k: v for k, v in body.items() if k not in LATER_KEYS}
    if later and "keep_weights" in rest:
        rest.pop("keep_weights")
    try:
        shape = Shape.model_validate(rest)
    except ValidationError as error:
        raise SpecError(later + from_pydantic(error, "", Shape.model_fields)) from error
    _raise(later)
    return shape


def _sizes(shape: Shape) -> None:
    """Refuses what is too large before anything is built."""
    settings = math.prod(len(v) for v in shape.grid.values())
    cells = settings * len(shape.arms)
    if cells > MOST_CELLS:
        rule = f"{len(shape.arms)} arms x {settings} settings are more than {MOST_CELLS:,} cells"
        raise SpecError([Problem("grid", f"{cells:,} cells", rule, "split the grid over sweeps")])
    trials = cells * shape.seeds
    if trials > MOST_TRIALS:
        rule = f"{cells} cells x {shape.seeds} seeds are more than {MOST_TRIALS:,} trials"
        cure = f"use at most {MOST_TRIALS // max(cells, 1)} seeds"
        raise SpecError([Problem("seeds", f"{trials:,} trials", rule, cure)])
    if shape.cohort is not None and shape.cohort > shape.seeds:
        rule = f"a cohort is a part of the {shape.seeds} seeds"
        cure = f"use 1 to {shape.seeds}, or leave it out"
        raise SpecError([Problem("cohort", str(shape.cohort), rule, cure)])


def _names(shape: Shape, experiment: Experiment) -> list[Problem]:
    """Names that the experiment does not have, and keys that are given twice."""
    problems: list[Problem] = []
    known = experiment.settings.model_fields
    places = [("fixed", shape.fixed), ("grid", shape.grid)]
    places += [(f"arms.{arm}", overrides) for arm, overrides in shape.arms.items()]
    for place, values in places:
        for key, value in values.items():
            if key not in known:
                rule = f"experiment {experiment.name} has no hyper-parameter {key!r}"
                problems.append(Problem(f"{place}.{key}", shown(value), rule, near(key, known)))
    for key, listed in shape.grid.items():
        if key in shape.fixed:
            rule = "a hyper-parameter is either fixed or in the grid"
            problems.append(Problem(f"grid.{key}", shown(listed), rule, "drop one of the two"))
        if not listed:
            rule = "a grid key lists at least one value"
            problems.append(Problem(f"grid.{key}", "[]", rule, "add values or drop the key"))
        if any(a == b for a, b in itertools.combinations(listed[:1000], 2)):
            rule = "a grid key lists each value once"
            problems.append(Problem(f"grid.{key}", shown(listed), rule, "drop the repetition"))
    for arm, overrides in shape.arms.items():
        for key in overrides.keys() & shape.grid.keys():
            rule = "an arm may not override a grid key: its cells would not differ in it"
            cure = "take it out of the grid, or out of the arm"
            problems.append(Problem(f"arms.{arm}.{key}", shown(overrides[key]), rule, cure))
    return problems


def _values(shape: Shape, experiment: Experiment) -> list[Problem]:
    """Values that break a hyper-parameter's own rule, each looked at alone."""
    problems: list[Problem] = []
    seen = [("fixed", shape.fixed)]
    seen += [(f"arms.{arm}", overrides) for arm, overrides in shape.arms.items()]
    seen += [("grid", {k: v}) for k, values in shape.grid.items() for v in values]
    for place, values in seen:
        try:
            experiment.resolve(values)
        except ValidationError as error:
            # a rule that joins several fields is judged once all of them are known
            own = [p for p in from_pydantic(error, place) if p.field != place]
            problems += own
    return problems


class _Builder:
    """Builds the plan once names and single values are known to be right."""

    def __init__(self, shape: Shape, experiment: Experiment, root: str) -> None:
        self.shape = shape
        self.experiment = experiment
        self.root = root
        self.problems: list[Problem] = []

    def plan(self) -> Plan:
        shape = self.shape
        arms = tuple(Arm(i, n, dict(o)) for i, (n, o) in enumerate(shape.arms.items()))
        points = [
            dict(zip(shape.grid, values, strict=True))
            for values in itertools.product(*shape.grid.values())
        ]
        settings = []
        for index, point in enumerate(points):
            self._resolve({**shape.fixed, **point}, self._where(point))
            _raise(self.problems)
            name = self.experiment.setting_hash({**shape.fixed, **point})
            settings.append(Setting(index, point, name))
        criteria, contrast = build_criteria(shape, arms)
        structures: dict[str, Structure] = {}
        cells: list[Cell] = []
        for setting in settings:
            resolved: dict[str, str] = {}
            for arm in arms:
                where = self._where(setting.values, arm.name)
                values = {**shape.fixed, **setting.values, **arm.overrides}
                found = self._resolve(values, where)
                if found is None:
                    continue
                text = found.model_dump_json()
                twin = resolved.setdefault(text, arm.name)
                if twin != arm.name:
                    rule = f"arms {twin} and {arm.name} resolve to the same values: nothing differs"
                    cure = "change or drop one of the two"
                    self.problems.append(
                        Problem(f"arms.{arm.name}", shown(dict(arm.overrides)), rule, cure)
                    )
                    continue
                pack = self._pack(found)
                key = repr(pack)
                structure = structures.setdefault(key, Structure(len(structures), pack))
                lane = self.experiment.lane_values(found)
                cells.append(Cell(len(cells), arm.index, setting.index, structure.index, lane))
            _raise(self.problems)
        cohort = shape.cohort or min(COHORT, shape.seeds)
        return Plan(
            spec=self._normal(cohort, contrast),
            name=shape.name,
            experiment=shape.experiment,
            root=int(self.root, 16),
            arms=arms,
            settings=tuple(settings),
            structures=tuple(structures.values()),
            cells=tuple(cells),
            criteria=criteria,
            contrast=contrast,
            seeds=shape.seeds,
            cohort=cohort,
        )

    @staticmethod
    def _where(point: Mapping[str, Any], arm: str | None = None) -> str:
        parts = [f"arms.{arm}"] if arm else []
        if point:
            parts.append("grid(" + ", ".join(f"{k}={v}" for k, v in point.items()) + ")")
        return " at ".join(parts) or "fixed"

    def _resolve(self, values: Mapping[str, Any], where: str) -> Any:
        try:
            return self.experiment.resolve(values)
        except ValidationError as error:
            self.problems += from_pydantic(error, where)
            return None

    def _pack(self, settings: Any) -> PackSpec:
        """What lanes of these settings agree in; the budget and criterion must fit it."""
        shape, experiment = self.shape, self.experiment
        segment = experiment.segment(settings)
        steps = shape.budget.steps
        if steps % segment:
            below = steps // segment * segment
            rule = f"a budget is whole segments of {segment} steps"
            cure = f"use {below or segment} or {below + segment}"
            self._note(Problem("budget.steps", str(steps), rule, cure))
        leave, problems = leave_rule(shape, experiment.metrics(settings))
        for problem in problems:
            self._note(problem)
        return PackSpec(
            experiment=experiment.name,
            shared=experiment.shared_json(settings),
            segment=segment,
            steps=steps,
            evaluate_every=shape.evaluate.every,
            expensive=shape.evaluate.expensive,
            leave=leave,
        )

    def _note(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _normal(self, cohort: int, contrast: Contrast | None) -> dict[str, Any]:
        """The spec with every default written out: submitted again it gives this plan."""
        shape = self.shape.model_dump(mode="json")
        shape |= {"cohort": cohort, "root": self.root}
        success = {k: v for k, v in shape["success"].items() if v is not None}
        if "report_at" not in success:
            success["report_at"] = [success.get("at_most", success.get("at_least"))]
        shape["success"] = success
        if contrast is not None:
            shape["primary"] = {
                k: v
                for k, v in {
                    "arm": contrast.arm,
                    "against": contrast.against,
                    "threshold": contrast.threshold,
                    "effect": contrast.effect,
                    "sided": contrast.sided,
                }.items()
                if v is not None
            }
        else:
            shape.pop("primary")
        return shape

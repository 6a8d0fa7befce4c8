"""Builds a plan of a spec whose names, values and sizes are right: settings, cells, packs."""

import itertools
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from models.experiment import Experiment, Settings
from service.plan import Arm, Cell, Plan, Setting, Structure
from service.spec.criteria import (
    arms_of,
    build_criteria,
    contrast_of,
    leave_rule,
)
from service.spec.fit import judge_fit
from service.spec.power import effect_of
from service.spec.problems import Problem, SpecError, from_pydantic, shown
from service.spec.shape import HANDLED, Shape, cohort_of
from service.spec.stop import stop_of
from workers.messages import PackSpec


def build_plan(shape: Shape, experiment: Experiment, root: str) -> Plan:
    """The plan of a spec.

    Raises:
        SpecError: values that are right alone do not go together, or the budget, the criterion or
            two arms do not fit the cells that they make.
    """
    return _Builder(shape, experiment, root).plan()


class _Builder:
    """Problems gather until a setting is done, so that a fault of the grid is said once."""

    def __init__(self, shape: Shape, experiment: Experiment, root: str) -> None:
        self.shape = shape
        self.experiment = experiment
        self.root = root
        self.problems: list[Problem] = []
        self.structures: dict[str, Structure] = {}

    def plan(self) -> Plan:
        shape = self.shape
        arms = arms_of(shape)
        settings = self._settings()
        cells: list[Cell] = []
        for setting in settings:
            self._cells(setting, arms, cells)
            self._check()
        cohort = cohort_of(shape)
        return Plan(
            spec=self._normal(cohort, settings[0]),
            name=shape.name,
            experiment=shape.experiment,
            root=int(self.root, 16),
            arms=arms,
            settings=tuple(settings),
            structures=tuple(self.structures.values()),
            cells=tuple(cells),
            criteria=build_criteria(shape),
            contrast=contrast_of(shape),
            seeds=shape.seeds,
            cohort=cohort,
            stop=stop_of(shape),
        )

    def _check(self) -> None:
        if self.problems:
            raise SpecError(self.problems)

    def _settings(self) -> list[Setting]:
        """The grid's points; no two may resolve to the same, or they would share their streams."""
        settings: list[Setting] = []
        hashes: dict[str, dict[str, Any]] = {}
        for index, values in enumerate(itertools.product(*self.shape.grid.values())):
            point = dict(zip(self.shape.grid, values, strict=True))
            self._resolve({**self.shape.fixed, **point}, _where(point))
            self._check()
            name = self.experiment.setting_hash({**self.shape.fixed, **point})
            twin = hashes.setdefault(name, point)
            if twin is not point:
                rule = f"it resolves to the same values as {_where(twin)}: they would share seeds"
                self.problems.append(Problem(_where(point), shown(point), rule, "drop one of them"))
                self._check()
            settings.append(Setting(index, point, name))
        return settings

    def _cells(self, setting: Setting, arms: tuple[Arm, ...], cells: list[Cell]) -> None:
        """One cell an arm; two arms that resolve to the same values would compare nothing."""
        known: dict[str, str] = {}
        for arm in arms:
            values = {**self.shape.fixed, **setting.values, **arm.overrides}
            found = self._resolve(values, _where(setting.values, arm.name))
            if found is None:
                continue
            for rule, cure in self.experiment.conflicts(found, self.shape.budget.steps):
                where = _where(setting.values, arm.name)
                self._note(Problem(where, shown(dict(arm.overrides)), rule, cure))
            twin = known.setdefault(found.model_dump_json(), arm.name)
            if twin != arm.name:
                rule = f"arms {twin} and {arm.name} resolve to the same values: nothing differs"
                cure = "change or drop one of the two"
                self._note(Problem(f"arms.{arm.name}", shown(dict(arm.overrides)), rule, cure))
                continue
            structure = self._structure(found)
            lane = self.experiment.lane_values(found)
            cells.append(Cell(len(cells), arm.index, setting.index, structure.index, lane))

    def _resolve(self, values: Mapping[str, Any], where: str) -> Settings | None:
        try:
            return self.experiment.resolve(values)
        except ValidationError as error:
            self.problems += from_pydantic(error, where)
            return None

    def _structure(self, settings: Settings) -> Structure:
        """The structure of these settings; budget and criterion are judged once a structure."""
        shared = self.experiment.shared_json(settings)
        key = repr(shared)
        known = self.structures.get(key)
        if known is not None:
            return known
        shape, experiment = self.shape, self.experiment
        for problem in judge_fit(shape, experiment, settings):
            self._note(problem)
        pack = PackSpec(
            experiment=experiment.name,
            shared=shared,
            segment=experiment.segment(settings),
            steps=shape.budget.steps,
            evaluate_every=shape.evaluate.every,
            expensive=shape.evaluate.expensive,
            leave=leave_rule(shape),
        )
        return self.structures.setdefault(key, Structure(len(self.structures), pack))

    def _note(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _normal(self, cohort: int, setting: Setting) -> dict[str, Any]:
        """The spec with every default written out, hyper-parameters' too.

        Submitted again it trains the same values, also by a version whose defaults are others; that
        version draws other streams, since a setting's hash leaves defaults out (ADR 12).
        """
        shape = self.shape.model_dump(mode="json", exclude=set(HANDLED))
        resolved = self.experiment.resolve({**self.shape.fixed, **setting.values})
        fixed = resolved.model_dump(mode="json")
        shape["fixed"] = {k: v for k, v in fixed.items() if k not in setting.values}
        shape |= {"cohort": cohort, "root": self.root}
        success = {k: v for k, v in shape["success"].items() if v is not None}
        success.setdefault("report_at", [success.get("at_most", success.get("at_least"))])
        shape["success"] = success
        contrast = contrast_of(self.shape)
        shape.pop("primary")
        if contrast is not None:
            declared = {k: v for k, v in vars(contrast).items() if v is not None}
            shape["primary"] = declared
        if shape["power"] is None:
            del shape["power"]
        else:
            shape["power"]["effect"] = effect_of(self.shape)
        if self.shape.stop is None:
            shape.pop("stop")
        elif len(shape["stop"]["when"]) == 1:
            shape["stop"]["when"] = shape["stop"]["when"][0]
        return shape


def _where(point: Mapping[str, Any], arm: str | None = None) -> str:
    parts = [f"arms.{arm}"] if arm is not None else []
    if point:
        parts.append("grid(" + ", ".join(f"{k}={v}" for k, v in point.items()) + ")")
    return " at ".join(parts) or "fixed"

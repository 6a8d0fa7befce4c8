"""Parses a spec into a plan: every key checked, every cell resolved, counts multiplied first.

What can be decided without building anything (sizes, names, single values, the criterion) is
decided before anything is built, and all that is wrong with it is said at once.
"""

import math
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from models.experiment import Experiment
from service.handling import Handling
from service.plan import Plan
from service.spec.build import build_plan
from service.spec.criteria import judge_alone
from service.spec.fit import judge_fit
from service.spec.power import judge_power
from service.spec.problems import Problem, SpecError, from_pydantic, near, shown
from service.spec.shape import HANDLED, LATER_KEYS, Handled, Shape
from service.spec.stop import judge_stop

MOST_TRIALS = 10_000_000
MOST_CELLS = 100_000


def parse(body: object, experiments: Mapping[str, Experiment]) -> Plan:
    """The plan of a spec.

    Args:
        body: what came as JSON.
        experiments: the catalogue, by name.

    Raises:
        SpecError: with every problem that was found.
    """
    shape = _shape(body)
    problems = [
        *_sizes(shape),
        *judge_alone(shape),
        *judge_power(shape),
        *judge_stop(shape),
    ]
    experiment = experiments.get(shape.experiment)
    if experiment is None:
        cure = near(shape.experiment, experiments)
        rule = "there is no experiment of this name"
        raise SpecError([Problem("experiment", shown(shape.experiment), rule, cure), *problems])
    own = _names(shape, experiment) + _values(shape, experiment)
    problems += own + _fit(shape, experiment, sound=not own)
    if problems:
        raise SpecError(problems)
    return build_plan(shape, experiment, shape.root or secrets.token_hex(16))


def handling_of(spec: Mapping[str, Any]) -> Handling:
    """How a sweep is to be treated, of a spec that was parsed."""
    return Handled.model_validate({k: v for k, v in spec.items() if k in HANDLED}).handling()


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
    rest = {k: v for k, v in body.items() if k not in LATER_KEYS}
    try:
        shape = Shape.model_validate(rest)
    except ValidationError as error:
        raise SpecError(later + from_pydantic(error, "", Shape)) from error
    if later:
        raise SpecError(later)
    return shape


def _sizes(shape: Shape) -> list[Problem]:
    """What is too large, from lengths alone."""
    settings = math.prod(len(v) for v in shape.grid.values())
    cells = settings * len(shape.arms)
    trials = cells * shape.seeds
    problems: list[Problem] = []
    if cells > MOST_CELLS:
        rule = f"{len(shape.arms)} arms x {settings} settings are more than {MOST_CELLS:,} cells"
        problems.append(Problem("grid", f"{cells:,} cells", rule, "split the grid over sweeps"))
    elif trials > MOST_TRIALS:
        rule = f"{cells} cells x {shown(shape.seeds)} seeds are more than {MOST_TRIALS:,} trials"
        cure = f"use at most {MOST_TRIALS // cells} seeds"
        problems.append(Problem("seeds", shown(shape.seeds), rule, cure))
    if shape.cohort is not None and shape.cohort > shape.seeds:
        rule = f"a cohort is a part of the {shown(shape.seeds)} seeds"
        cure = f"use 1 to {shown(shape.seeds)}, or leave it out"
        problems.append(Problem("cohort", shown(shape.cohort), rule, cure))
    return problems


def _places(shape: Shape) -> Iterator[tuple[str, str, Any]]:
    """(field, hyper-parameter, value) of every single value of a spec."""
    for key, value in shape.fixed.items():
        yield f"fixed.{key}", key, value
    for key, values in shape.grid.items():
        for index, value in enumerate(values):
            yield f"grid.{key}.{index}", key, value
    for arm, overrides in shape.arms.items():
        for key, value in overrides.items():
            yield f"arms.{arm}.{key}", key, value


def _names(shape: Shape, experiment: Experiment) -> list[Problem]:
    """Names that the experiment does not have, and keys that are given twice."""
    known = experiment.settings.model_fields
    problems: list[Problem] = []
    for place, values in [
        ("fixed", shape.fixed),
        ("grid", shape.grid),
        *((f"arms.{arm}", overrides) for arm, overrides in shape.arms.items()),
    ]:
        for key in values.keys() - known.keys():
            rule = f"experiment {experiment.name} has no hyper-parameter {key!r}"
            cure = near(key, known)
            problems.append(Problem(f"{place}.{key}", shown(values[key]), rule, cure))
    for key, listed in shape.grid.items():
        if key in shape.fixed:
            rule = "a hyper-parameter is either fixed or in the grid"
            problems.append(Problem(f"grid.{key}", shown(listed), rule, "drop one of the two"))
        if not listed:
            rule = "a grid key lists at least one value"
            problems.append(Problem(f"grid.{key}", "[]", rule, "add values or drop the key"))
        if len({identity(v) for v in listed}) < len(listed):
            rule = "a grid key lists each value once"
            problems.append(Problem(f"grid.{key}", shown(listed), rule, "drop the repetition"))
    for arm, overrides in shape.arms.items():
        for key in sorted(overrides.keys() & shape.grid.keys()):
            rule = "an arm may not override a grid key: its cells would not differ in it"
            cure = "take it out of the grid, or out of the arm"
            problems.append(Problem(f"arms.{arm}.{key}", shown(overrides[key]), rule, cure))
    return sorted(problems, key=lambda p: p.field)


def identity(value: Any) -> Any:
    """Equal for values that mean the same: 1 and 1.0, but not 1 and true."""
    plain = isinstance(value, int | float | str) and not isinstance(value, bool)
    return value if plain else repr(value)


def _values(shape: Shape, experiment: Experiment) -> list[Problem]:
    """Values that break a hyper-parameter's own rule, each looked at alone."""
    problems: list[Problem] = []
    for field, key, value in _places(shape):
        if key not in experiment.settings.model_fields:
            continue
        try:
            experiment.resolve({key: value})
        except ValidationError as error:
            # a rule that joins several fields has no field of its own; it is judged in the cells
            own = [p for p in from_pydantic(error, "") if p.field.partition(".")[0] == key]
            problems += [Problem(field, p.value, p.rule, p.cure) for p in own]
    return problems


def _fit(shape: Shape, experiment: Experiment, *, sound: bool) -> list[Problem]:
    """Whether budget and criterion suit the experiment.

    Both may depend on settings (`digit_error@4`). The first cell is asked here and the others when
    they are built; while values are wrong (not `sound`) only a metric that no settings could yield
    is found, by the part of its name before the @.
    """
    if sound:
        point = {key: values[0] for key, values in shape.grid.items()}
        arm = next(iter(shape.arms.values()))
        try:
            settings = experiment.resolve({**shape.fixed, **point, **arm})
        except ValidationError:
            return []  # said, with its place, when the cells are built
        return judge_fit(shape, experiment, settings)
    kinds = {m.name.partition("@")[0] for m in experiment.metrics(experiment.resolve({}))}
    name = shape.success.metric
    if name.partition("@")[0] in kinds:
        return []
    rule = f"experiment {experiment.name} has no such metric"
    return [Problem("success.metric", shown(name), rule, near(name, kinds))]

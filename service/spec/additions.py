"""Changes of a sweep after its submission: what may be asked, above all of criteria."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError

from models.experiment import Experiment
from service.plan import Criterion, Plan
from service.spec.fit import judge_threshold
from service.spec.problems import Problem, SpecError, from_pydantic, near, shown
from service.spec.shape import HANDLED, Handled, Shape, Strict, Threshold
from service.structures import resolved
from workers.messages import Leave


class Criteria(Strict):
    """What becomes of the criteria."""

    add: Annotated[list[Threshold], Field(min_length=1, max_length=64)]


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is not named stays, and something is named."""
    for part in schema["properties"].values():
        part.pop("default", None)
    schema["minProperties"] = 1


class Change(Handled):
    """What of a sweep can be changed; what is not named stays."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    criteria: Criteria = Criteria.model_construct(add=[])

    def changed(self) -> dict[str, Any]:
        """What is said of how it is to be treated, by its key."""
        return {key: getattr(self, key) for key in HANDLED if key in self.model_fields_set}


def read_change(body: object) -> Change:
    """What a PATCH asks for.

    Raises:
        SpecError: with every problem that was found.
    """
    if not isinstance(body, dict):
        rule = f"a change is a JSON object, not a {type(body).__name__}"
        raise SpecError([Problem("body", shown(body), rule, "send an object such as {criteria}")])
    problems: list[Problem] = []
    for key in sorted(body.keys() & Shape.model_fields.keys() - set(HANDLED)):
        rule = "what was submitted stays: other trials or another claim would come of it"
        problems.append(Problem(key, shown(body[key]), rule, "submit another sweep"))
    given = body.get("criteria")
    if isinstance(given, dict) and "remove" in given:
        rule = "a criterion that could be looked at stays in the report, so that none is hidden"
        problems.append(
            Problem("criteria.remove", shown(given["remove"]), rule, "leave remove out")
        )
    if problems:
        raise SpecError(problems)
    try:
        change = Change.model_validate(body)
    except ValidationError as error:
        raise SpecError(from_pydantic(error, "", Change)) from error
    if not body:
        keys = ", ".join(Change.model_fields)
        raise SpecError([Problem("body", "{}", "a change names what changes", f"name {keys}")])
    return change


def judge_additions(
    wanted: list[Threshold], plan: Plan, experiment: Experiment
) -> tuple[Criterion, ...]:
    """The criteria that thresholds stand for in a plan; their index and version are not theirs yet.

    Raises:
        SpecError: the experiment does not measure it so, or what trials do at success forbids it.
    """
    problems: list[Problem] = []
    found: list[Criterion] = []
    pack = plan.structures[0].pack
    for place, item in ((f"criteria.add.{i}", item) for i, item in enumerate(wanted)):
        given = item.rule()
        if given is None:
            rule = "exactly one of at_most and at_least says what success is"
            value = shown(item.model_dump(exclude_none=True))
            problems.append(Problem(place, value, rule, "give one of the two"))
            continue
        comparison, threshold = given
        c = Criterion(0, item.metric, comparison, threshold + 0.0, item.at, primary=False)
        for settings in resolved(plan, experiment):
            metrics = {m.name: m for m in experiment.metrics(settings)}
            if item.metric not in metrics:
                rule = "the experiment has no such metric under some of the sweep's settings"
                cure = near(item.metric, metrics)
                fit = [Problem(f"{place}.metric", shown(item.metric), rule, cure)]
            else:
                fit = judge_threshold(metrics[item.metric], given, place)
                if item.at == "any" and pack.expensive == "end":
                    fit += _never_measured(metrics[item.metric], place)
            problems += [p for p in fit if p not in problems]
        if pack.leave is not None:
            problems += _forbidden(c, pack.leave, place)
        if c in found:
            rule = "a criterion is added once"
            problems.append(Problem(place, shown(given), rule, "drop the repetition"))
        found.append(c)
    if problems:
        raise SpecError(problems)
    return tuple(found)


def _never_measured(metric: Any, place: str) -> list[Problem]:
    if metric.tier != "expensive":
        return []
    rule = f"{metric.name} is expensive, and this sweep measures it only at the end"
    return [Problem(f"{place}.at", "'any'", rule, "ask for it at end")]


def _forbidden(c: Criterion, leave: Leave, place: str) -> list[Problem]:
    """What cannot be known of trials that left at success (STATISTICS.md, 5.6)."""
    left = f"trials leave once {leave.metric} is {leave.comparison} {leave.threshold:g}"
    cure = f"ask for {leave.metric} at any, no stricter than {leave.threshold:g}"
    if c.metric != leave.metric:
        rule = f"{left}, so what {c.metric} would have become is not known"
        return [Problem(f"{place}.metric", shown(c.metric), rule, cure)]
    if c.at != "any":
        rule = f"{left}, so they have no end of their budget to be judged at"
        return [Problem(f"{place}.at", shown(c.at), rule, cure)]
    lower = c.comparison == "at_most"
    if c.threshold < leave.threshold if lower else c.threshold > leave.threshold:
        rule = f"{left}, so whether they would have met a stricter threshold is not known"
        return [Problem(f"{place}.{c.comparison}", f"{c.threshold:g}", rule, cure)]
    return []

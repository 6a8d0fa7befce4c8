"""Criteria and the primary contrast of a spec, checked against the experiment's metrics."""

from collections.abc import Sequence

from models.experiment import Metric
from service.plan import Arm, Contrast, Criterion
from service.spec.problems import Problem, SpecError, near, shown
from service.spec.shape import Shape
from workers.messages import Comparison, Leave


def rule_of(shape: Shape) -> tuple[Comparison, float]:
    """The comparison and threshold of the success criterion.

    Raises:
        SpecError: not exactly one of at_most and at_least is given.
    """
    success = shape.success
    if success.at_most is not None and success.at_least is None:
        return "at_most", success.at_most
    if success.at_least is not None and success.at_most is None:
        return "at_least", success.at_least
    rule = "exactly one of at_most and at_least says what success is"
    raise SpecError(
        [
            Problem(
                "success", shown(success.model_dump(exclude_none=True)), rule, "give one of the two"
            )
        ]
    )


def thresholds(shape: Shape) -> list[float]:
    """All thresholds, strictest first, the success threshold among them.

    Raises:
        SpecError: report_at names a threshold twice, or not the success threshold.
    """
    comparison, threshold = rule_of(shape)
    given = shape.success.report_at if shape.success.report_at is not None else [threshold]
    if len(set(given)) != len(given):
        rule, cure = "report_at lists each threshold once", "drop the repetition"
        raise SpecError([Problem("success.report_at", shown(given), rule, cure)])
    if threshold not in given:
        rule = f"report_at holds the success threshold {threshold}"
        raise SpecError(
            [Problem("success.report_at", shown(given), rule, f"add {threshold} to it")]
        )
    return sorted(given, reverse=comparison == "at_least")


def build_criteria(
    shape: Shape, arms: Sequence[Arm]
) -> tuple[tuple[Criterion, ...], Contrast | None]:
    """Criteria (strictest first) and the primary contrast, if there is one.

    Without a declared one, two arms are compared, the second against the first, at the success
    threshold; more arms have no primary contrast unless it is declared.

    Raises:
        SpecError: the contrast names an arm or threshold that does not exist.
    """
    comparison, threshold = rule_of(shape)
    limits = thresholds(shape)
    contrast = _contrast(shape, arms, threshold, limits)
    at = contrast.threshold if contrast is not None else threshold
    criteria = tuple(
        Criterion(i, shape.success.metric, comparison, limit, shape.success.at, limit == at)
        for i, limit in enumerate(limits)
    )
    return criteria, contrast


def _contrast(
    shape: Shape, arms: Sequence[Arm], threshold: float, limits: Sequence[float]
) -> Contrast | None:
    names = [arm.name for arm in arms]
    declared = shape.primary
    if declared is None:
        two = len(names) == 2  # noqa: PLR2004 - a pair
        return Contrast(names[1], names[0], threshold, None, "two") if two else None
    problems = []
    for field in ("arm", "against"):
        name = getattr(declared, field)
        if name not in names:
            rule = "the contrast names two of the sweep's arms"
            problems.append(Problem(f"primary.{field}", shown(name), rule, near(name, names)))
    if declared.arm == declared.against:
        rule, cure = "an arm is not compared with itself", "name another arm"
        problems.append(Problem("primary.against", shown(declared.against), rule, cure))
    at = threshold if declared.threshold is None else declared.threshold
    if at not in limits:
        rule = "the contrast is judged at one of the thresholds in report_at"
        cure = f"use one of {', '.join(map(str, limits))}"
        problems.append(Problem("primary.threshold", str(at), rule, cure))
    if problems:
        raise SpecError(problems)
    return Contrast(declared.arm, declared.against, at, declared.effect, declared.sided)


def leave_rule(shape: Shape, metrics: Sequence[Metric]) -> tuple[Leave | None, list[Problem]]:
    """The leave rule, and what is wrong with the criterion under these settings' metrics."""
    success = shape.success
    comparison, _ = rule_of(shape)
    limits = thresholds(shape)
    known = {m.name: m for m in metrics}
    metric = known.get(success.metric)
    if metric is None:
        rule = "the experiment has no such metric under these settings"
        cure = near(success.metric, known)
        return None, [Problem("success.metric", shown(success.metric), rule, cure)]
    problems: list[Problem] = []
    right: Comparison = "at_most" if metric.better == "lower" else "at_least"
    if comparison != right:
        rule = f"of {metric.name} {metric.better} is better, so success is {right} a threshold"
        problems.append(Problem("success", comparison, rule, f"use {right}"))
    for limit in limits:
        if not metric.low <= limit <= metric.high:
            rule = f"{metric.name} lies between {metric.low:g} and {metric.high:g}"
            cure = "give a threshold in that range"
            problems.append(Problem("success.report_at", str(limit), rule, cure))
    if success.at == "any" and metric.tier == "expensive" and shape.evaluate.expensive != "every":
        rule = f"{metric.name} is expensive and measured only at the end, but success is at: any"
        cure = "set evaluate.expensive to every, or success.at to end"
        problems.append(Problem("evaluate.expensive", "end", rule, cure))
    if shape.leave == "never":
        return None, problems
    if success.at != "any":
        rule = "a trial that leaves at success has no end of its budget to be judged at"
        cure = "set success.at to any, or leave to never"
        problems.append(Problem("leave", shape.leave, rule, cure))
    return Leave(metric.name, comparison, limits[0]), problems

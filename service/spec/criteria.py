"""Criteria and the primary contrast of a spec, and what is wrong with them in any experiment."""

from service.plan import Arm, Contrast, Criterion
from service.spec.problems import Problem, near, shown
from service.spec.shape import Shape
from workers.messages import Comparison, Leave


def rule_of(shape: Shape) -> tuple[Comparison, float] | None:
    """The comparison and threshold of the success criterion; None unless exactly one is given."""
    return shape.success.rule()


def limits_of(shape: Shape) -> list[float]:
    """All thresholds, strictest first; the success threshold alone unless report_at is given."""
    rule = rule_of(shape)
    if rule is None:
        return []
    comparison, threshold = rule
    given = [threshold] if shape.success.report_at is None else shape.success.report_at
    return sorted(given, reverse=comparison == "at_least")


def contrast_of(shape: Shape) -> Contrast | None:
    """The primary contrast.

    Without a declared one, two arms are compared, the second against the first, at the success
    threshold; more arms have no primary contrast unless it is declared.
    """
    rule, declared = rule_of(shape), shape.primary
    if rule is None:
        return None
    if declared is None:
        names = list(shape.arms)
        two = len(names) == 2  # noqa: PLR2004 - a pair
        return Contrast(names[1], names[0], rule[1], None, "two") if two else None
    at = rule[1] if declared.threshold is None else declared.threshold
    return Contrast(declared.arm, declared.against, at, declared.effect, declared.sided)


def build_criteria(shape: Shape) -> tuple[Criterion, ...]:
    """One criterion a threshold, strictest first; primary is the one of the contrast."""
    rule, contrast = rule_of(shape), contrast_of(shape)
    if rule is None:
        return ()
    comparison, threshold = rule
    at = contrast.threshold if contrast is not None else threshold
    return tuple(
        Criterion(i, shape.success.metric, comparison, limit, shape.success.at, limit == at)
        for i, limit in enumerate(limits_of(shape))
    )


def judge_alone(shape: Shape) -> list[Problem]:
    """What is wrong with the criterion and contrast whatever the experiment."""
    rule = rule_of(shape)
    if rule is None:
        given = shown(shape.success.model_dump(exclude_none=True))
        text = "exactly one of at_most and at_least says what success is"
        return [Problem("success", given, text, "give one of the two")]
    problems = _judge_thresholds(shape, rule[1]) + _judge_contrast(shape)
    if shape.leave == "at_success" and shape.success.at != "any":
        text = "a trial that leaves at success has no end of its budget to be judged at"
        cure = "set success.at to any, or leave to never"
        problems.append(Problem("leave", shown(shape.leave), text, cure))
    return problems


def _judge_thresholds(shape: Shape, threshold: float) -> list[Problem]:
    given = shape.success.report_at
    problems: list[Problem] = []
    if given is None:
        return problems
    if len(set(given)) != len(given):
        text, cure = "report_at lists each threshold once", "drop the repetition"
        problems.append(Problem("success.report_at", shown(given), text, cure))
    if threshold not in given:
        text, cure = f"report_at holds the success threshold {threshold}", f"add {threshold} to it"
        problems.append(Problem("success.report_at", shown(given), text, cure))
    return problems


def _judge_contrast(shape: Shape) -> list[Problem]:
    declared, names = shape.primary, list(shape.arms)
    problems: list[Problem] = []
    if declared is None:
        return problems
    for field in ("arm", "against"):
        name = getattr(declared, field)
        if name not in names:
            text = "the contrast names two of the sweep's arms"
            problems.append(Problem(f"primary.{field}", shown(name), text, near(name, names)))
    if declared.arm == declared.against:
        text, cure = "an arm is not compared with itself", "name another arm"
        problems.append(Problem("primary.against", shown(declared.against), text, cure))
    limits = limits_of(shape)
    if declared.threshold is not None and declared.threshold not in limits:
        text = "the contrast is judged at one of the thresholds in report_at"
        cure = f"use one of {', '.join(map(str, limits))}"
        problems.append(Problem("primary.threshold", str(declared.threshold), text, cure))
    return problems


def leave_rule(shape: Shape) -> Leave | None:
    """The leave rule of a spec that was judged: the strictest threshold."""
    rule = rule_of(shape)
    if shape.leave == "never" or rule is None:
        return None
    return Leave(shape.success.metric, rule[0], limits_of(shape)[0])


def arms_of(shape: Shape) -> tuple[Arm, ...]:
    """The arms, in the order of the spec."""
    return tuple(Arm(i, name, dict(o)) for i, (name, o) in enumerate(shape.arms.items()))

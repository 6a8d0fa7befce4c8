"""Whether budget and criterion of a spec suit an experiment under given settings."""

from models.experiment import Experiment, Metric, Settings
from service.spec.criteria import limits_of, rule_of
from service.spec.problems import Problem, near, shown
from service.spec.shape import Shape
from workers.messages import Comparison


def judge_fit(shape: Shape, experiment: Experiment, settings: Settings) -> list[Problem]:
    """What is wrong with budget and criterion under these settings."""
    segment = experiment.segment(settings)
    steps = shape.budget.steps
    problems: list[Problem] = []
    if steps % segment:
        below = steps // segment * segment
        rule = f"{experiment.name} trains in segments of {segment} steps; a budget is whole ones"
        nearest = f"{below} or {below + segment}" if below else str(segment)
        problems.append(Problem("budget.steps", str(steps), rule, f"use {nearest}"))
    known = {m.name: m for m in experiment.metrics(settings)}
    metric = known.get(shape.success.metric)
    if metric is not None:
        return problems + _judge_metric(shape, metric)
    rule = "the experiment has no such metric under these settings"
    name = shape.success.metric
    return [*problems, Problem("success.metric", shown(name), rule, near(name, known))]


def judge_threshold(metric: Metric, given: tuple[Comparison, float], place: str) -> list[Problem]:
    """What is wrong with a comparison and threshold of a metric, below a field."""
    comparison, threshold = given
    problems: list[Problem] = []
    right = "at_most" if metric.better == "lower" else "at_least"
    if comparison != right:
        rule = f"of {metric.name} {metric.better} is better, so success is {right} a threshold"
        problems.append(Problem(f"{place}.{comparison}", str(threshold), rule, f"use {right}"))
    return problems + _judge_range(metric, threshold, f"{place}.{comparison}")


def _judge_range(metric: Metric, limit: float, field: str) -> list[Problem]:
    if metric.low <= limit <= metric.high:
        return []
    rule = f"{metric.name} lies between {metric.low:g} and {metric.high:g}"
    return [Problem(field, str(limit), rule, "give a threshold in that range")]


def _judge_metric(shape: Shape, metric: Metric) -> list[Problem]:
    success, given = shape.success, rule_of(shape)
    problems: list[Problem] = []
    if given is not None:
        problems += judge_threshold(metric, given, "success")
        for limit in limits_of(shape):
            if limit != given[1]:
                problems += _judge_range(metric, limit, "success.report_at")
    if success.at == "any" and metric.tier == "expensive" and shape.evaluate.expensive != "every":
        rule = f"{metric.name} is expensive and measured only at the end, but success is at: any"
        cure = "set evaluate.expensive to every, or success.at to end"
        problems.append(Problem("evaluate.expensive", "'end'", rule, cure))
    return problems

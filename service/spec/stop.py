"""The stop rule of a spec: what it is, and what it needs of the rest."""

from service.evidence.stopping import Rule
from service.spec.criteria import contrast_of
from service.spec.problems import Problem, shown
from service.spec.shape import Shape, cohort_of


def stop_of(shape: Shape) -> Rule | None:
    """The rule of a spec that was judged; it never moves once the sweep is submitted."""
    contrast = contrast_of(shape)
    if shape.stop is None or contrast is None:
        return None
    return Rule(tuple(shape.stop.when), shape.stop.alpha, contrast.sided, contrast.effect)


def judge_stop(shape: Shape) -> list[Problem]:
    """A rule judges the primary contrast, and must be able to end the sweep before its plan."""
    if shape.stop is None:
        return []
    given, contrast = shown(shape.stop.model_dump()), contrast_of(shape)
    problems: list[Problem] = []
    if contrast is None:
        rule = "a stop rule judges the primary contrast, and this sweep has none"
        cure = "declare it (primary: {arm: ..., against: ...}), or leave stop out"
        problems.append(Problem("stop", given, rule, cure))
    elif "futile" in shape.stop.when and contrast.effect is None:
        rule = "futile means that the planned effect is ruled out, and primary.effect is not given"
        cure = "add primary.effect, the least difference of rates that matters, or use evidence"
        problems.append(Problem("stop.when", shown(shape.stop.when), rule, cure))
    if cohort_of(shape) >= shape.seeds:
        rule = (
            f"a stop rule is judged after each cohort but the last, and all {shown(shape.seeds)} "
            "seeds are one cohort"
        )
        problems.append(Problem("stop", given, rule, "set a smaller cohort, or leave stop out"))
    return problems

"""What a spec expects of its primary contrast: an input to planning, which changes no trial."""

from service.evidence.plan import Design, InfeasibleError
from service.plan import Contrast
from service.spec.criteria import contrast_of, rule_of
from service.spec.problems import Problem, shown
from service.spec.shape import Shape


def effect_of(shape: Shape) -> float | None:
    """The expected difference: as given, else that of the primary contrast on the side it asks."""
    contrast = contrast_of(shape)
    if shape.power is None or contrast is None:
        return None
    if shape.power.effect is not None or contrast.effect is None:
        return shape.power.effect
    return -contrast.effect if contrast.sided == "less" else contrast.effect


def judge_power(shape: Shape) -> list[Problem]:
    """What is wrong with `power`: no contrast, no effect, or rates that no arms can have."""
    if shape.power is None or rule_of(shape) is None:
        return []
    contrast, effect = contrast_of(shape), effect_of(shape)
    if contrast is None:
        given = shown(shape.power.model_dump(exclude_none=True))
        rule = f"power is of the primary contrast, and {len(shape.arms)} arms have none by default"
        return [Problem("power", given, rule, "declare primary: {arm: ..., against: ...}")]
    if effect is None:
        rule = "the effect to be found is named here or as primary.effect, and it is in neither"
        cure = "add effect: the least difference of the rates that matters"
        return [Problem("power.effect", "none", rule, cure)]
    return _judge_rates(shape.power.baseline, effect, shape.power.correlation, contrast)


def _judge_rates(
    baseline: float, effect: float, correlation: float, contrast: Contrast
) -> list[Problem]:
    if (contrast.sided == "greater" and effect < 0) or (contrast.sided == "less" and effect > 0):
        rule = f"the contrast asks for {contrast.sided} alone, and this effect is on the other side"
        return [Problem("power.effect", str(effect), rule, f"use {-effect:g}, or sided: two")]
    try:
        low, high = Design(baseline, effect).feasible()
    except InfeasibleError as error:
        rule, _, cure = str(error).partition("; ")
        return [Problem("power.effect", str(effect), rule, f"change one of the two: {cure}")]
    try:
        Design(baseline, effect, correlation)
    except InfeasibleError as error:
        rule = str(error).partition("; ")[0]
        cure = f"use a correlation between {low:.4g} and {high:.4g}"
        return [Problem("power.correlation", str(correlation), rule, cure)]
    return []

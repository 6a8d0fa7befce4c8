"""The key `power`: an input to planning, which is stored and changes no trial."""

from typing import Any

import pytest

from models.catalog import experiments
from service.spec import Problem, SpecError, parse
from tests.service.samples import plan, spec

THREE = {"a": {"noise_eta": 0.0}, "b": {"noise_eta": 0.01}, "c": {"noise_eta": 0.02}}


def problems(**changes: Any) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        parse(spec(**changes), experiments())
    return list(caught.value.problems)


def primary(**more: Any) -> dict[str, Any]:
    return {"arm": "noisy", "against": "plain", **more}


def test_power_stands_in_the_stored_spec_with_its_defaults_and_the_contrasts_effect() -> None:
    found = plan(power={"baseline": 0.05}, primary=primary(effect=0.03)).spec["power"]
    assert found == {"baseline": 0.05, "effect": 0.03, "correlation": 0.0, "wanted": 0.9}
    less = plan(power={"baseline": 0.05}, primary=primary(effect=0.03, sided="less")).spec["power"]
    assert less["effect"] == -0.03
    own = plan(power={"baseline": 0.05, "effect": 0.1}, primary=primary(effect=0.03)).spec["power"]
    assert own["effect"] == 0.1
    assert plan(power=found).spec["power"] == found


def test_power_changes_no_trial_and_a_spec_without_it_is_stored_as_before() -> None:
    with_it, without = plan(power={"baseline": 0.05, "effect": 0.03}), plan()
    assert [s.hash for s in with_it.settings] == [s.hash for s in without.settings]
    assert with_it.cells == without.cells
    assert with_it.structures == without.structures
    assert "power" not in without.spec
    assert {k: v for k, v in with_it.spec.items() if k != "power"} == without.spec


@pytest.mark.parametrize(
    ("power", "field", "rule", "cure"),
    [
        ({"effect": 0.1}, "power.baseline", "required", "add it"),
        ({"baseline": 0.1}, "power.effect", "in neither", "least difference"),
        ({"baseline": 1.1, "effect": 0.1}, "power.baseline", "at most 1", "at most 1"),
        ({"baseline": 0.9, "effect": 0.2}, "power.effect", "a rate of 1.1", "between 0 and 1"),
        ({"baseline": 0.1, "effect": -0.2}, "power.effect", "a rate of -0.1", "between 0 and 1"),
        ({"baseline": 0.1, "effect": 0.0}, "power.effect", "an effect of 0", "plan for another"),
        (
            {"baseline": 0.01, "effect": 0.01, "correlation": 0.8},
            "power.correlation",
            "cannot correlate by 0.8",
            "between -0.01436 and 0.7035",
        ),
        ({"baseline": 0.1, "effect": 0.1, "wanted": 1}, "power.wanted", "at most", "use at most"),
        ({"baseline": 0.1, "effect": 0.1, "wanted": 0.1}, "power.wanted", "at least 0.5", "0.5"),
        ({"baseline": 0.1, "efect": 0.1}, "power.efect", "no such key", "did you mean 'effect'"),
        (0.9, "power", "must be an object", "write it"),
        ({"baseline": "5 %", "effect": 0.1}, "power.baseline", "must be a number", "digits"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_three_parts(
    power: Any, field: str, rule: str, cure: str
) -> None:
    [found] = problems(power=power)
    assert found.field == field
    assert rule in found.rule
    assert cure in found.cure


def test_without_a_primary_contrast_there_is_nothing_to_plan() -> None:
    [found] = problems(arms=THREE, power={"baseline": 0.1, "effect": 0.1})
    assert (found.field, "3 arms have none" in found.rule) == ("power", True)
    assert "declare primary" in found.cure


def test_an_effect_on_the_side_that_is_not_asked_about_is_refused() -> None:
    wrong = {"baseline": 0.5, "effect": -0.1}
    [found] = problems(power=wrong, primary=primary(sided="greater"))
    assert (found.field, found.cure) == ("power.effect", "use 0.1, or sided: two")


def test_a_wrong_criterion_is_said_once_and_not_as_a_fault_of_power() -> None:
    wrong = {"metric": "test_accuracy"}
    fields = [p.field for p in problems(success=wrong, power={"baseline": 0.1, "effect": 0.1})]
    assert fields == ["success"]

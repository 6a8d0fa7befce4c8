"""Every rule that a spec can break: the field, the rule and the cure are named."""

import copy
import json
from typing import Any

import pytest

from models.catalog import experiments
from service.spec import Problem, SpecError, parse

GOOD: dict[str, Any] = {
    "name": "small",
    "experiment": "deep_mlp",
    "fixed": {"depth": 3, "width": 8},
    "arms": {"plain": {"noise_eta": 0.0}, "noisy": {"noise_eta": 0.01}},
    "grid": {"learning_rate": [0.1, 0.2]},
    "seeds": 6,
    "cohort": 2,
    "budget": {"steps": 200},
    "success": {"metric": "test_accuracy", "at_least": 0.9, "report_at": [0.5, 0.9]},
}
NEURAL_GPU: dict[str, Any] = {
    "experiment": "neural_gpu",
    "fixed": {"bits": 4},
    "grid": {},
    "success": {"metric": "digit_error@4", "at_most": 0.1},
}
ABSENT = object()
NAN, INFINITY = float("nan"), float("inf")


def spec(changes: dict[str, Any]) -> dict[str, Any]:
    """A good spec with changes at dotted paths."""
    body = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *folders, leaf = path.split("/")
        place = body
        for folder in folders:
            place = place[folder]
        if value is ABSENT:
            del place[leaf]
        else:
            place[leaf] = value
    return body


def problems_of(body: object) -> tuple[Problem, ...]:
    """What parse finds wrong."""
    with pytest.raises(SpecError) as caught:
        parse(body, experiments())
    return caught.value.problems


# changes -> field, a part of the rule, a part of the cure
TABLE: list[tuple[dict[str, Any], str, str, str]] = [
    # the outer shape
    ({"name": ABSENT}, "name", "required", "add it"),
    ({"name": ""}, "name", "at least 1 characters", "at least 1"),
    ({"name": 3}, "name", "a text", "quotes"),
    ({"name": "a\x00b"}, "name", "control characters", "leave them out"),
    ({"name": "\ud800"}, "name", "whole characters", "surrogates"),
    ({"name": "x" * 201}, "name", "at most 200", "at most 200"),
    ({"seedz": 3}, "seedz", "no such key", "did you mean 'seeds'?"),
    ({"budget/stepz": 3}, "budget.stepz", "no such key", "did you mean 'steps'?"),
    ({"success/treshold": 3}, "success.treshold", "no such key", "known are"),
    ({"fixed": []}, "fixed", "an object", "{key: value"),
    ({"arms": ["plain"]}, "arms", "an object", "{key: value"),
    ({"arms": {}}, "arms", "at least 1", "at least 1"),
    ({"arms": {f"a{i}": {} for i in range(65)}}, "arms", "at most 64", "at most 64"),
    ({"grid/learning_rate": 0.1}, "grid.learning_rate", "a list", "[ ]"),
    ({"evaluate": {"expensive": "evry"}}, "evaluate.expensive", "one of end, every", "'every'"),
    ({"evaluate": {"every": 0}}, "evaluate.every", "at least 1", "at least 1"),
    ({"root": "5EED"}, "root", "32 lower-case hex digits", "leave it out"),
    # counts
    ({"seeds": ABSENT}, "seeds", "required", "add it"),
    ({"seeds": 0}, "seeds", "at least 1", "at least 1"),
    ({"seeds": -1}, "seeds", "at least 1", "at least 1"),
    ({"seeds": 2.5}, "seeds", "a whole number", "digits"),
    ({"seeds": "6"}, "seeds", "a whole number", "without quotes"),
    ({"seeds": True}, "seeds", "a whole number", "digits"),
    ({"seeds": NAN}, "seeds", "a whole number", "digits"),
    ({"seeds": 2_500_001}, "seeds", "more than 10,000,000 trials", "at most 2500000 seeds"),
    ({"seeds": 10**30}, "seeds", "more than 10,000,000 trials", "at most 2500000 seeds"),
    ({"cohort": 7}, "cohort", "part of the 6 seeds", "1 to 6"),
    ({"cohort": 0}, "cohort", "at least 1", "at least 1"),
    ({"budget/steps": 250}, "budget.steps", "segments of 100 steps", "use 200 or 300"),
    ({"budget/steps": 50}, "budget.steps", "segments of 100 steps", "use 100"),
    ({"budget/steps": 0}, "budget.steps", "at least 1", "at least 1"),
    # stop rules
    ({"stop": "evidence"}, "stop", "must be an object", "{key: value"),
    ({"stop": {"alpha": 0.05}}, "stop.when", "required", "add it"),
    ({"stop": {"when": "bored"}}, "stop.when", "by evidence or futile", "both as a list"),
    ({"stop": {"when": []}}, "stop.when", "by evidence or futile", "both as a list"),
    ({"stop": {"when": ["evidence", "evidence"]}}, "stop.when", "by evidence or", "both as a list"),
    ({"stop": {"when": {"evidence": 20}}}, "stop.when", "by evidence or futile", "both as a list"),
    ({"stop": {"when": "evidence", "alpha": 0}}, "stop.alpha", "more than 0", "more than 0"),
    ({"stop": {"when": "evidence", "alpha": 0.6}}, "stop.alpha", "at most 0.5", "at most 0.5"),
    ({"stop": {"when": "evidence", "n": 20}}, "stop.n", "no such key", "alpha, when"),
    (
        {"stop": {"when": "futile"}},
        "stop.when",
        "primary.effect is not given",
        "add primary.effect",
    ),
    (
        {"stop": {"when": ["evidence", "futile"]}},
        "stop.when",
        "effect is not given",
        "primary.effect",
    ),
    (
        {"stop": {"when": "evidence"}, "arms": {"only": {}}},
        "stop",
        "judges the primary contrast, and this sweep has none",
        "declare it",
    ),
    (
        {"stop": {"when": "evidence"}, "cohort": 6},
        "stop",
        "all 6 seeds are one cohort",
        "smaller cohort",
    ),
    # later versions' keys
    ({"numerics": "mixed"}, "numerics", "not built yet", "leave numerics out"),
    ({"priority": 101}, "priority", "at most 100", "use at most 100"),
    ({"labels": ["a", "a"]}, "labels", "given once", "drop the repetition"),
    ({"labels": ["a\0"]}, "labels.0", "", ""),
    ({"note": "\0"}, "note", "", ""),
    ({"keep_weights": "some"}, "keep_weights", "one of none", "none"),
    # experiment and hyper-parameters
    ({"experiment": "deep_mpl"}, "experiment", "no experiment", "did you mean 'deep_mlp'?"),
    ({"fixed/dept": 3}, "fixed.dept", "no hyper-parameter 'dept'", "did you mean 'depth'?"),
    ({"grid/widht": [3]}, "grid.widht", "no hyper-parameter", "did you mean 'width'?"),
    ({"arms/noisy/noise_etaa": 1}, "arms.noisy.noise_etaa", "no hyper-parameter", "'noise_eta'?"),
    ({"fixed/depth": 0}, "fixed.depth", "at least 1", "at least 1"),
    ({"fixed/depth": 2.5}, "fixed.depth", "a whole number", "digits"),
    ({"fixed/init": "hee"}, "fixed.init", "one of simple, he", "did you mean 'he'?"),
    ({"fixed/dropout": 1.0}, "fixed.dropout", "less than 1", "less than 1"),
    ({"fixed/momentum": NAN}, "fixed.momentum", "a finite number", "NaN"),
    ({"fixed/momentum": -INFINITY}, "fixed.momentum", "a finite number", "infinite"),
    ({"fixed/momentum": "0.9"}, "fixed.momentum", "a number", "without quotes"),
    ({"fixed/momentum": True}, "fixed.momentum", "a number", "digits"),
    ({"fixed/init_std": 10**400}, "fixed.init_std", "a number", "digits"),
    ({"grid/learning_rate": [0.1, -1.0]}, "grid.learning_rate.1", "more than 0", "more than 0"),
    ({"grid/learning_rate": [0.1, NAN]}, "grid.learning_rate.1", "a finite number", "NaN"),
    ({"arms/noisy/noise_eta": -1.0}, "arms.noisy.noise_eta", "at least 0", "at least 0"),
    # grid and arms
    ({"grid/learning_rate": []}, "grid.learning_rate", "at least one value", "add values"),
    ({"grid/learning_rate": [1, 1.0]}, "grid.learning_rate", "each value once", "repetition"),
    ({"grid/depth": [2, 3]}, "grid.depth", "either fixed or in the grid", "drop one"),
    ({"arms/noisy/learning_rate": 1}, "arms.noisy.learning_rate", "override a grid key", "take it"),
    ({"arms/noisy": {}}, "arms.noisy", "plain and noisy resolve to the same values", "change or"),
    ({"arms/noisy/noise_eta": -0.0}, "arms.noisy", "resolve to the same values", "change or"),
    (
        {"grid": {"learning_rate": [i + 0.5 for i in range(50_001)]}},
        "grid",
        "more than 100,000 cells",
        "split the grid",
    ),
    # the criterion
    ({"success/metric": "test_acc"}, "success.metric", "no such metric", "'test_accuracy'"),
    ({"success/at_least": ABSENT}, "success", "exactly one of at_most and at_least", "one of the"),
    ({"success/at_most": 0.9}, "success", "exactly one of at_most and at_least", "one of the two"),
    ({"success/at_least": NAN}, "success.at_least", "a finite number", "NaN"),
    ({"success/report_at": [0.5]}, "success.report_at", "success threshold 0.9", "add 0.9"),
    ({"success/report_at": [0.9, 0.9]}, "success.report_at", "each threshold once", "repetition"),
    ({"success/report_at": [0.9, 1.5]}, "success.report_at", "between 0 and 1", "in that range"),
    ({"success/report_at": []}, "success.report_at", "at least 1", "at least 1"),
    (
        {"success": {"metric": "test_accuracy", "at_least": 90}},
        "success.at_least",
        "between 0 and 1",
        "in that range",
    ),
    (
        {"success": {"metric": "test_accuracy", "at_most": 0.9}},
        "success.at_most",
        "higher is better",
        "use at_least",
    ),
    ({"success/at": "sometimes"}, "success.at", "one of end, any", "end"),
    ({"leave": "at_success"}, "leave", "no end of its budget", "success.at to any"),
    # the contrast
    (
        {"primary": {"arm": "nosy", "against": "plain"}},
        "primary.arm",
        "two of the sweep's arms",
        "did you mean 'noisy'?",
    ),
    (
        {"primary": {"arm": "plain", "against": "plain"}},
        "primary.against",
        "not compared with itself",
        "another arm",
    ),
    (
        {"primary": {"arm": "noisy", "against": "plain", "threshold": 0.7}},
        "primary.threshold",
        "one of the thresholds in report_at",
        "use one of 0.9, 0.5",
    ),
    (
        {"primary": {"arm": "noisy", "against": "plain", "sided": "one"}},
        "primary.sided",
        "one of two, greater, less",
        "two",
    ),
    (
        {"primary": {"arm": "noisy", "against": "plain", "effect": 1.5}},
        "primary.effect",
        "at most 1",
        "at most 1",
    ),
    # what depends on settings
    (
        NEURAL_GPU | {"fixed": {"bits": 4, "start_bits": 5}},
        "fixed",
        "start_bits 5 is beyond bits 4",
        "lower start_bits",
    ),
    (
        NEURAL_GPU | {"fixed": {}, "grid": {"bits": [4, 5]}},
        "success.metric",
        "no such metric under these settings",
        "digit_error@5",
    ),
    (
        NEURAL_GPU | {"success": {"metric": "digit_error@8", "at_most": 0.1, "at": "any"}},
        "evaluate.expensive",
        "digit_error@8 is expensive",
        "evaluate.expensive to every",
    ),
]


@pytest.mark.parametrize(
    ("changes", "field", "rule", "cure"),
    TABLE,
    ids=[f"{row[1]}: {row[2]} {i}"[:60] for i, row in enumerate(TABLE)],
)
def test_a_broken_rule_is_named_with_its_field_value_and_cure(
    changes: dict[str, Any], field: str, rule: str, cure: str
) -> None:
    """The problem that the row describes is among those found, whole and short enough to read."""
    found = problems_of(spec(changes))
    about = {p.field: p for p in found}
    assert field in about, found
    assert rule in about[field].rule, about[field]
    assert cure in about[field].cure, about[field]
    assert all(p.value and len(p.value) <= 80 for p in found)
    json.dumps([vars(p) for p in found], ensure_ascii=False).encode()


@pytest.mark.parametrize("body", [[], "a spec", 3, None, True, [GOOD]], ids=repr)
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    """JSON of the wrong shape is named as such."""
    (problem,) = problems_of(body)
    assert problem.field == "body"
    assert "a spec is a JSON object" in problem.rule


def test_all_problems_are_said_at_once() -> None:
    """Faults of independent parts do not hide each other."""
    body = spec(
        {
            "fixed/dept": 3,
            "arms/noisy/noise_eta": -1.0,
            "grid/momentum": [],
            "cohort": 7,
            "success/metric": "accuracy",
            "success/report_at": [0.5],
            "primary": {"arm": "loud", "against": "plain"},
        }
    )
    assert {p.field for p in problems_of(body)} == {
        "fixed.dept",
        "arms.noisy.noise_eta",
        "grid.momentum",
        "cohort",
        "success.metric",
        "success.report_at",
        "primary.arm",
    }


def test_later_keys_and_unknown_keys_are_said_together() -> None:
    """A refused key does not hide a misspelt one."""
    found = problems_of(spec({"labels": 1, "numerics": "mixed", "sede": 1}))
    assert [p.field for p in found] == ["numerics", "labels", "sede"]


def test_the_good_spec_is_good() -> None:
    """Or the table above would show nothing."""
    assert parse(spec({}), experiments()).trials == 24

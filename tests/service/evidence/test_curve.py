"""First steps of success, read off the curves that workers record."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.experiment import Metric
from service.evidence.curve import Curve, decode, first_met
from service.plan import Criterion
from service.store.completion import succeeded
from workers.lane import Record
from workers.messages import Comparison, EndState, Outcome

ERROR = Metric("error", "lower", 0, 1, "cheap", "")
ACCURACY = Metric("accuracy", "higher", 0, 1, "cheap", "")

values = st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.5, 1.0, float("nan")]), max_size=12)


def recorded(column: list[float], metric: Metric, end: EndState = "finished") -> Outcome:
    """What a worker would send of a lane with these evaluations, one every 10 steps."""
    record = Record()
    for i, value in enumerate(column):
        record.add(10 * (i + 1), {metric.name: value})
    steps = 10 * len(column)
    found = {metric.name: record.summary(metric, end, steps)}
    return Outcome(1, 1, end, steps, found, record.blob(), "")


@settings(deadline=None)
@given(
    values,
    st.sampled_from([0.0, 0.01, 0.5]),
    st.booleans(),
    st.sampled_from(["finished", "diverged"]),
)
def test_a_trial_has_a_first_step_if_and_only_if_it_is_a_success_at_any_evaluation(
    column: list[float], threshold: float, lower: bool, end: EndState
) -> None:
    """By the same worker's record and the same rule as the store's; never after the best step."""
    metric = ERROR if lower else ACCURACY
    comparison: Comparison = "at_most" if lower else "at_least"
    outcome = recorded(column, metric, end)
    step = first_met(decode(outcome.curve), metric.name, comparison, threshold)
    rule = Criterion(0, metric.name, comparison, threshold, "any", primary=True)
    assert (step is not None) == succeeded(outcome, rule)
    if step is not None:
        best_step = outcome.metrics[metric.name].best_step
        assert best_step is not None
        assert step <= best_step
        met = [v <= threshold if lower else v >= threshold for v in column]
        assert step == 10 * (met.index(True) + 1)


def test_of_a_trial_that_left_at_success_the_last_evaluation_is_the_event() -> None:
    outcome = recorded([0.9, 0.4, 0.02, 0.005], ERROR, "left")
    curve = decode(outcome.curve)
    assert first_met(curve, "error", "at_most", 0.01) == outcome.steps == 40
    assert first_met(curve, "error", "at_most", 0.5) == 20


def test_what_was_never_measured_is_never_met() -> None:
    assert first_met(Curve([10, 20], {}), "error", "at_most", 1.0) is None
    assert first_met(Curve([10, 20], {"error": [None, None]}), "error", "at_most", 1.0) is None


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"none",
        zlib.compress(b"{}"),
        zlib.compress(b"[]"),
        zlib.compress(b"{"),
        zlib.compress(b'{"steps": 3, "metrics": {}}'),
    ],
)
def test_what_is_no_curve_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        decode(blob)


def test_a_curve_of_uneven_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="one value for each step"):
        decode(zlib.compress(b'{"steps": [1, 2], "metrics": {"error": [0.5]}}'))

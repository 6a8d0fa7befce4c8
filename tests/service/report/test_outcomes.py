"""Outcomes as Parquet: one row a trial, with all that was recorded and all that follows."""

import io
import json
import tracemalloc
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from service.report import outcomes
from service.report.sample import read, won
from service.store.engine import session_factory
from service.store.plans import plan_of
from tests.service.report.swept import ANY, Sessions, finished, parquet, shuffled
from tests.service.report.test_findings import claim, complete, create
from tests.service.samples import outcome
from workers.messages import Assignment, MetricRecord, Outcome


def rows(content: bytes) -> list[dict[str, Any]]:
    """The rows of a file."""
    found: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
    return found


def test_a_trial_is_a_row_with_its_setting_metrics_and_successes(sessions: Sessions) -> None:
    found = rows(parquet(sessions, finished(sessions, **ANY)))
    assert [(r["cell"], r["seed"]) for r in found] == [(c, s) for c in range(12) for s in range(6)]
    lucky = found[0]
    assert (lucky["arm"], lucky["setting.learning_rate"], lucky["setting.init_std"]) == (
        "plain",
        0.1,
        0.1,
    )
    assert (lucky["end_state"], lucky["steps"], lucky["cohort"]) == ("finished", 200, 0)
    assert lucky["test_accuracy.final"] == 0.92
    assert (lucky["success.0"], lucky["success.1"]) == (True, True)
    assert (lucky["first_success.0"], lucky["first_success.1"]) == (200, 200)
    (slow,) = [r for r in found if (r["cell"], r["seed"]) == (4, 0)]
    assert slow["setting.learning_rate"] == 0.2
    assert (slow["first_success.0"], slow["first_success.1"]) == (100, 100)
    lost = [r for r in found if r["end_state"] == "errored"]
    assert len(lost) == 4
    for r in lost:
        assert r["test_accuracy.recorded"] is False
        assert r["steps"] is r["fingerprint"] is r["test_accuracy.final"] is r["success.0"] is None
    (diverged, *_) = [r for r in found if r["end_state"] == "diverged"]
    assert diverged["test_accuracy.recorded"] is True
    assert diverged["test_accuracy.final"] is None
    assert (diverged["test_accuracy.best"], diverged["test_accuracy.best_step"]) == (0.3, 100)
    assert (diverged["success.0"], diverged["success.1"]) == (False, False)


def test_successes_are_those_that_the_report_counts(sessions: Sessions) -> None:
    for changes in (ANY, {}):
        sweep = finished(sessions, **changes)
        found = rows(parquet(sessions, sweep))
        with sessions() as session:
            plan = plan_of(session, sweep)
            sample = read(session, sweep, plan)
        for rule in plan.criteria:
            told = [{1: True, 0: False, 2: None}[v] for v in won(sample, rule).tolist()]
            assert [r[f"success.{rule.index}"] for r in found] == told


def test_the_bytes_know_nothing_of_order_workers_and_attempts(sessions: Sessions) -> None:
    calm = parquet(sessions, finished(sessions, **ANY))
    assert parquet(sessions, shuffled(sessions, 3, **ANY)) == calm


def test_what_is_not_settled_is_not_in_the_file(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    assert rows(parquet(sessions, sweep)) == []
    tasks = claim(sessions, sweep, 16)
    complete(sessions, [outcome(t) for t in tasks if t.seed < 2 or t.trial % 3])
    assert {r["seed"] for r in rows(parquet(sessions, sweep))} == {0, 1}


def test_a_metric_that_only_the_last_trials_have_is_not_lost(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "ROW_GROUP", 4)
    sessions = session_factory(sqlite)

    def late(task: Assignment) -> Outcome:
        metrics = {"test_accuracy": MetricRecord(0.5, 0.5, 200)}
        more = {"rare": MetricRecord(1.0, 1.0, 200)} if task.seed == 5 else {}
        return outcome(task, metrics=metrics | more)

    content = parquet(sessions, finished(sessions, late))
    assert pq.ParquetFile(io.BytesIO(content)).num_row_groups == 6
    assert sum(r["rare.recorded"] for r in rows(content)) == 4


def test_values_of_the_grid_keep_their_kind(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    grid = {"batch": [16, 32], "init": ["he", "zero"], "clip_norm": [1, 2.5]}
    content = parquet(sessions, finished(sessions, outcome, grid=grid, fixed={"clip": "norm"}))
    about = json.loads(pq.ParquetFile(io.BytesIO(content)).schema_arrow.metadata[b"seedbed"])
    assert about["arms"] == ["plain", "noisy"]
    found = rows(content)
    assert {r["setting.batch"] for r in found} == {16, 32}
    assert {r["setting.init"] for r in found} == {"he", "zero"}
    assert {r["setting.clip_norm"] for r in found} == {1.0, 2.5}


def test_memory_does_not_grow_with_the_trials(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times the trials: at most twice the memory besides the file."""
    monkeypatch.setattr(outcomes, "ROW_GROUP", 200)
    sessions = session_factory(sqlite)

    def peak(seeds: int) -> int:
        sweep = finished(sessions, outcome, seeds=seeds, cohort=seeds)
        with sessions() as session, open("/dev/null", "wb") as file:  # noqa: PTH123 - no file
            plan = plan_of(session, sweep)
            tracemalloc.start()
            outcomes.write_outcomes(session, sweep, plan, file)
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    peak(50)  # what is loaded once
    assert peak(3000) < 2 * peak(300) + 2_000_000

"""A criterion that is added afterwards leaves what one that was there from the start leaves."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from service.plan import Criterion
from service.store import classes, sweeps
from service.store.engine import session_factory
from service.store.errors import StateConflictError
from service.store.exclusion import exclude
from service.store.judging import MOST, add_criteria
from service.store.plans import plan_of
from service.store.progress import cell_counts, progress
from service.store.tables import (
    arm_successes,
    cell_successes,
    cells,
    cohort_pairs,
    criteria,
    pair_counts,
    successes,
    trials,
)
from tests.service.samples import NUMERICS, moment, outcome, plan
from tests.service.store.test_conformance import check_counters, claim, complete, create
from workers.messages import Assignment, Failure, MetricRecord, Outcome

Sessions = sessionmaker[Session]


def wanted(threshold: float, metric: str = "test_accuracy", at: Any = "end") -> Criterion:
    """A criterion to add."""
    return Criterion(0, metric, "at_least", threshold, at, primary=False)


def drawn(task: Assignment, salt: int) -> Outcome | Failure:
    """What a trial might yield, decided by its setting, seed and arm: all that can happen."""
    dice = random.Random(f"{task.setting}{task.seed}{task.values['noise_eta']}{salt}")
    final = dice.choice([0.3, 0.5, 0.7, 0.9])
    kind = dice.choice(["outcome"] * 5 + ["unmeasured", "diverged", "fails"])
    if kind == "fails":
        return Failure(task.trial, task.attempt, "e", "t")
    metrics = {"test_accuracy": MetricRecord(final, max(final, dice.choice([0.5, 0.9])), 100)}
    if kind == "diverged":  # what it had reached before that stays known
        metrics = {"test_accuracy": MetricRecord(None, final, 50)}
        return outcome(task, end_state="diverged", steps=50, metrics=metrics)
    return outcome(task, metrics={} if kind == "unmeasured" else metrics)


def make(sessions: Sessions, extra: tuple[Criterion, ...] = ()) -> str:
    """A sweep; with `extra` criteria from the start."""
    whole = plan()
    more = tuple(replace(c, index=len(whole.criteria) + i) for i, c in enumerate(extra))
    with sessions.begin() as session:
        sweep, _ = sweeps.create(
            session, replace(whole, criteria=whole.criteria + more), now=moment()
        )
        assert classes.pin(session, sweep, NUMERICS)
    return sweep


def add(sessions: Sessions, sweep: str, *rules: Criterion) -> tuple[Criterion, ...]:
    """Adds criteria in a transaction of its own."""
    with sessions.begin() as session:
        return add_criteria(session, sweep, rules, now=moment(9))


def run(sessions: Sessions, sweep: str, salt: int, between: Callable[[int], None]) -> None:
    """Ends a sweep in turns whose sizes are drawn; `between` is called before each."""
    dice, turn = random.Random(salt), 0
    between(turn)
    while taken := claim(sessions, sweep, dice.randint(1, 7)):
        returned = [drawn(task, salt) for task in taken]
        complete(
            sessions,
            [r for r in returned if isinstance(r, Outcome)],
            [r for r in returned if isinstance(r, Failure)],
        )
        turn += 1
        between(turn)


def kept(sessions: Sessions, sweep: str) -> dict[str, Any]:
    """All that the store holds of successes, by names that do not depend on ids."""
    with sessions() as session:
        here = cells.c.sweep == sweep
        judged = (
            select(cells.c.index, trials.c.seed, successes.c.criterion, successes.c.success)
            .join(trials, trials.c.cell == cells.c.id)
            .join(successes, successes.c.trial == trials.c.id)
            .where(here)
        )
        counted = select(
            cells.c.index,
            cell_successes.c.criterion,
            cell_successes.c.arrived,
            cell_successes.c.settled,
        ).join(cells, cells.c.id == cell_successes.c.cell)
        of_arms = select(
            arm_successes.c.arm,
            arm_successes.c.criterion,
            arm_successes.c.arrived,
            arm_successes.c.settled,
        ).where(arm_successes.c.sweep == sweep)
        rules = select(
            criteria.c.index,
            criteria.c.metric,
            criteria.c.comparison,
            criteria.c.threshold,
            criteria.c.at,
            criteria.c.primary,
        ).where(criteria.c.sweep == sweep)
        pairs = select(*(c for c in pair_counts.c if c.name != "sweep"))
        by_cohort = select(*(c for c in cohort_pairs.c if c.name != "sweep"))
        queries = {
            "pairs": pairs.where(pair_counts.c.sweep == sweep),
            "cohorts": by_cohort.where(cohort_pairs.c.sweep == sweep),
            "successes": judged,
            "cells": counted.where(here),
            "arms": of_arms,
            "criteria": rules,
        }
        return {name: sorted(map(tuple, session.execute(q))) for name, q in queries.items()}


ADDED = (wanted(0.3), wanted(0.7, at="any"), wanted(0.8), wanted(0.1, "train_accuracy"))


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(salt=st.integers(0, 10**6), when=st.integers(0, 9), later=st.integers(0, 9))
def test_adding_a_criterion_gives_what_having_had_it_gives(
    engine: Engine, salt: int, when: int, later: int
) -> None:
    """Rows and counters, whenever it is added: before, between and after the outcomes."""
    sessions = session_factory(engine)
    ordered = sorted(ADDED[:2], key=lambda c: (c.metric, c.at, c.threshold))
    third, fourth = ADDED[2:]
    start = make(sessions, (*ordered, third, fourth))
    run(sessions, start, salt, lambda _: None)
    after = make(sessions)
    turns: list[int] = []

    def between(turn: int) -> None:
        turns.append(turn)
        if turn == min(when, later):
            add(sessions, after, *reversed(ordered))
        if turn == max(when, later):
            add(sessions, after, third)
            add(sessions, after, fourth)
        check_counters(sessions, after)

    run(sessions, after, salt, between)
    if min(when, later) > turns[-1]:
        add(sessions, after, *ordered)
    if max(when, later) > turns[-1]:
        add(sessions, after, third)
        add(sessions, after, fourth)
    assert kept(sessions, after) == kept(sessions, start)
    with sessions() as session:
        assert progress(session, after).settled_cohorts == 3
        assert [c.successes for c in cell_counts(session, after)] == [
            c.successes for c in cell_counts(session, start)
        ]


def test_a_criterion_is_post_hoc_once_there_is_an_outcome_and_not_for_errors(
    sessions: Sessions,
) -> None:
    sweep = create(sessions)
    [early] = add(sessions, sweep, wanted(0.1))
    tasks = claim(sessions, sweep, 3)
    for _ in range(3):
        complete(sessions, failures=[Failure(tasks[0].trial, tasks[0].attempt, "e", "t")])
        tasks = claim(sessions, sweep, 1) + tasks[1:]
    [errored] = add(sessions, sweep, wanted(0.2))
    complete(sessions, [outcome(tasks[-1])])
    late = add(sessions, sweep, wanted(0.4), wanted(0.3))
    marks = [(c.index, c.threshold, c.version, c.post_hoc) for c in (early, errored, *late)]
    assert marks == [(2, 0.1, 2, False), (3, 0.2, 3, False), (4, 0.3, 4, True), (5, 0.4, 4, True)]
    with sessions() as session:
        assert plan_of(session, sweep).criteria[2:] == (early, errored, *late)
        assert sweeps.show(session, sweep).criteria_version == 4
        primary = [c for c in plan_of(session, sweep).criteria if c.primary]
    assert [(c.threshold, c.version) for c in primary] == [(0.9, 1)]


def test_outcomes_that_were_excluded_had_been_seen(sessions: Sessions) -> None:
    sweep = create(sessions)
    complete(sessions, [outcome(t) for t in claim(sessions, sweep, 2)])
    with sessions.begin() as session:
        exclude(session, sweep, "w", "broken", now=moment(8))
    [late] = add(sessions, sweep, wanted(0.3))
    assert late.post_hoc


def test_the_same_criterion_is_refused_and_named_and_nothing_is_added(sessions: Sessions) -> None:
    sweep = create(sessions)
    add(sessions, sweep, wanted(0.7))
    words = r"test_accuracy >= 0\.9 at end already: it is its criterion 0, as submitted"
    with pytest.raises(StateConflictError, match=words):
        add(sessions, sweep, wanted(0.6), wanted(0.9))
    with pytest.raises(StateConflictError, match="criterion 2, since version 2"):
        add(sessions, sweep, wanted(0.7))
    [twin] = add(sessions, sweep, wanted(0.7, at="any"))  # another estimand
    assert (twin.index, twin.version) == (3, 3)


def test_a_sweep_has_a_bounded_number_of_criteria(sessions: Sessions) -> None:
    sweep = create(sessions)
    add(sessions, sweep, *(wanted(0.01 * k) for k in range(1, 41)))
    with pytest.raises(StateConflictError, match=f"the most are {MOST}.*add at most 22"):
        add(sessions, sweep, *(wanted(0.5 + 0.001 * k) for k in range(1, 30)))


def test_the_schema_lets_no_criterion_that_was_added_be_primary_or_undated(
    sessions: Sessions,
) -> None:
    sweep = create(sessions)
    row = {
        "sweep": sweep,
        "index": 9,
        "metric": "m",
        "comparison": "at_most",
        "threshold": 0.5,
        "at": "end",
        "primary": 0,
        "version": 2,
        "added_at": moment(),
    }
    for wrong in ({"primary": 1}, {"added_at": None}, {"version": 1}, {"version": 0}):
        with sessions.begin() as session, pytest.raises(IntegrityError):
            session.execute(insert(criteria).values(**row | wrong))
    plain = row | {"version": 1, "added_at": None, "post_hoc": 1}
    with sessions.begin() as session, pytest.raises(IntegrityError):
        session.execute(insert(criteria).values(**plain))


def test_adding_costs_as_many_statements_for_many_trials_as_for_few(sqlite: Engine) -> None:
    """No loop over trials: SQL does it."""
    sessions = session_factory(sqlite)
    statements: list[str] = []
    counts = []
    event.listen(sqlite, "before_cursor_execute", lambda *a: statements.append(a[2]))
    for seeds in (2, 60):
        sweep = create(sessions, seeds=seeds, cohort=2)
        while taken := claim(sessions, sweep, 500):
            complete(sessions, [outcome(t) for t in taken])
        statements.clear()
        add(sessions, sweep, wanted(0.3))
        counts.append(len(statements))
    assert counts[0] == counts[1]

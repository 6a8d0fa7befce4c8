"""Batches: every value comes back, and a batch of any size costs the same statements, no scan."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import BigInteger, Engine, Text, event, select
from sqlalchemy.orm import Session, sessionmaker

from service.store import claims, completion, release, trials
from service.store.batch import Batch, dialect_of
from service.store.engine import session_factory
from service.store.tables import outcomes, results
from tests.service.samples import moment, outcome
from tests.service.store.test_conformance import check_counters, claim, complete, create
from workers.messages import Failure, MetricRecord

NASTY = ("", " ", "null", "NULL", '"', "\\", "a,b", "{}", "'", "\n\t\x01", "é😀", "%s :x $1", None)


def test_every_text_and_integer_comes_back(sessions: sessionmaker[Session]) -> None:
    batch = Batch(number=BigInteger(), words=Text())
    rows = [(i or None, text) for i, text in enumerate(NASTY)] + [(2**62, "large"), (-1, "less")]
    with sessions() as session:
        dialect = dialect_of(session)
        source = batch.source(dialect)
        found = session.execute(select(*source.c), batch.parameters(dialect, rows)).all()
    assert [tuple(r) for r in found] == rows


def test_an_empty_batch_has_no_rows(sessions: sessionmaker[Session]) -> None:
    batch = Batch(number=BigInteger(), words=Text())
    with sessions() as session:
        dialect = dialect_of(session)
        query = select(*batch.source(dialect).c)
        assert session.execute(query, batch.parameters(dialect, [])).all() == []


def test_outcomes_keep_every_bit(sessions: sessionmaker[Session]) -> None:
    """Floats that decimal text could lose, all bytes, and metrics with names of any kind."""
    values = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3, 2**53 + 1.0]
    task = claim(sessions, create(sessions), 1)[0]
    metrics = {f"m{i} {NASTY[i]}": MetricRecord(v, v, 2) for i, v in enumerate(values)}
    metrics["none"] = MetricRecord(None, None, None)
    curve = bytes(range(256))
    complete(sessions, [outcome(task, metrics=metrics, curve=curve)])
    with sessions() as session:
        found = {r.metric: r.final for r in session.execute(select(results))}
        assert found == {name: m.final for name, m in metrics.items()}
        assert str(found[f"m3 {NASTY[3]}"]) == "0.0"  # on every database
        assert session.scalar(select(outcomes.c.curve)) == curve


@pytest.mark.parametrize("words", ["NUL \0 inside", "half a \ud83d pair", "a\\\"b'\n%s"])
def test_whatever_an_attempt_raised_can_be_stored(
    sessions: sessionmaker[Session], words: str
) -> None:
    """PostgreSQL keeps neither NUL nor lone surrogates; a trial that says them must not stop us."""
    sweep = create(sessions)
    for _ in range(3):
        [task] = claim(sessions, sweep, 1)
        complete(sessions, failures=[Failure(task.trial, task.attempt, words, words)])
    with sessions() as session:
        view = trials.show(session, task.trial)
    shown = words.replace("\0", r"\x00").replace("\ud83d", r"\ud83d")
    assert (view.state, view.error, view.traceback) == ("errored", shown, shown)


def test_of_an_attempt_that_comes_twice_the_first_counts(sessions: sessionmaker[Session]) -> None:
    sweep = create(sessions)
    [task] = claim(sessions, sweep, 1)
    twice = [outcome(task, 0.95), outcome(task, 0.1)]
    late = [Failure(task.trial, task.attempt, "e", "t")]
    done = complete(sessions, twice, late)
    assert (done.accepted, done.refused) == (1, [(task.trial, 1)] * 2)
    with sessions() as session:
        assert trials.show(session, task.trial).metrics["test_accuracy"].final == 0.95
    check_counters(sessions, sweep)


@contextmanager
def watched(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Statements that are executed, with their parameters."""
    found: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def round_trip(engine: Engine, sweep: str, limit: int) -> list[tuple[str, Any]]:
    """Claims, completes half, hands half of the rest back, and claims those again."""
    sessions = session_factory(engine)
    with watched(engine) as found:
        taken = claim(sessions, sweep, limit)
        assert len(taken) == limit
        complete(sessions, [outcome(t) for t in taken[: limit // 2]])
        back = [(t.trial, t.attempt) for t in taken[limit // 2 :]]
        with sessions.begin() as session:
            assert release.unwanted(session, back) == set()
            assert release.hand_back(session, back, now=moment()) == len(back)
        again = claim(sessions, sweep, len(back))
    assert [t.trial for t in again] == [pair[0] for pair in back]
    complete(sessions, [outcome(t) for t in again])
    return found


def test_a_round_makes_as_many_statements_for_a_thousand_trials_as_for_a_few(
    engine: Engine,
) -> None:
    sweep = create(session_factory(engine), seeds=2000, cohort=1000)
    round_trip(engine, sweep, 24)
    few = round_trip(engine, sweep, 24)
    many = round_trip(engine, sweep, 1008)
    assert len(many) == len(few) <= 45


def test_no_statement_of_a_round_goes_through_the_trials(sqlite: Engine) -> None:
    """SQLite says how it would: by row id or by an index over the few trials of a state."""
    sweep = create(session_factory(sqlite), seeds=200, cohort=100)
    statements = round_trip(sqlite, sweep, 8)
    raw = sqlite.raw_connection()
    driver: sqlite3.Connection = raw.driver_connection  # type: ignore[assignment]
    seen = 0
    for statement, parameters in statements:
        if "trials" not in statement:
            continue
        one = parameters[0] if isinstance(parameters, list) else parameters
        for step in plan(driver, statement, one):
            if " trials" in step:
                seen += 1
                allowed = ("PRIMARY KEY (rowid=?)", "ix_trials_waiting (sweep=? AND structure=?)")
                assert any(way in step for way in allowed), (step, statement)
    raw.close()
    assert seen >= 3


def plan(driver: sqlite3.Connection, statement: str, parameters: Sequence[Any]) -> list[str]:
    """The steps of SQLite's plan."""
    return [str(r[3]) for r in driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


def test_what_an_earlier_dispatcher_held_is_found_without_a_scan(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    taken = claim(sessions, create(sessions), 4)
    with watched(sqlite) as found, sessions.begin() as session:
        kept = {(taken[0].trial, 1)}
        assert release.release_all(session, now=moment(), keep=kept) == 3
    raw = sqlite.raw_connection()
    driver: sqlite3.Connection = raw.driver_connection  # type: ignore[assignment]
    [step] = plan(driver, *next(f for f in found if f[0].startswith("SELECT trials.id")))
    raw.close()
    assert "ix_trials_running" in step
    with sessions() as session:
        assert [trials.show(session, t.trial).state for t in taken] == ["running"] + ["waiting"] * 3


def test_queues_that_are_exhausted_are_not_read(sessions: sessionmaker[Session]) -> None:
    sweep = create(sessions, seeds=2, cohort=2)
    taken = claim(sessions, sweep, 99)
    with sessions() as session:
        assert claims.queues(session) == []
    complete(sessions, failures=[Failure(taken[0].trial, 1, "e", "t")])
    with sessions() as session:
        [queue] = claims.queues(session)
    assert (queue.sweep, queue.structure, queue.claimable) == (sweep, 0, 1)


def test_completion_is_told_apart_from_what_is_not_there(sessions: sessionmaker[Session]) -> None:
    task = claim(sessions, create(sessions), 1)[0]
    ghost = outcome(task, trial=10**9)
    done = complete(sessions, [ghost, outcome(task)])
    assert isinstance(done, completion.Completed)
    assert (done.accepted, done.refused) == (1, [(10**9, 1)])

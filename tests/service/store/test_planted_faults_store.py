"""The store's laws can fail: completion without its compare-and-set is caught."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, tuple_, update
from sqlalchemy.exc import IntegrityError

from service.store import completion
from service.store.engine import session_factory
from service.store.tables import trials
from tests.service.samples import outcome
from tests.service.store.test_conformance import (
    check_counters,
    check_repetition_refused,
    check_zombie_refused,
    claim,
    complete,
    create,
)


def swapping(*, attempts: bool, running: bool) -> Callable[..., dict[Any, Any]]:
    """`completion._swap` that compares the attempt, the state, or neither."""

    def swap(session: Any, sweep: str, pairs: Any, values: Any) -> dict[Any, Any]:
        if not pairs:
            return {}
        named = dict(pairs)
        t = trials.c
        conditions = [t.sweep == sweep, t.id.in_(named)]
        conditions += [tuple_(t.id, t.attempt).in_(pairs)] if attempts else []
        conditions += [t.state == "running"] if running else []
        statement = update(trials).where(*conditions).values(**values)
        rows = session.execute(
            statement.returning(t.id, t.attempt, t.cell, t.arm, t.cohort, t.structure)
        ).all()
        return {(r.id, named[r.id]): r for r in rows}

    return swap


def test_swapping_as_it_should_be_breaks_no_law(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in with both comparisons is sound, so what follows fails by their lack alone."""
    monkeypatch.setattr(completion, "_swap", swapping(attempts=True, running=True))
    check_zombie_refused(session_factory(sqlite))
    check_repetition_refused(session_factory(sqlite))


def test_a_zombies_write_that_is_accepted_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the attempt the late write is not refused: the law's first line."""
    monkeypatch.setattr(completion, "_swap", swapping(attempts=False, running=True))
    with pytest.raises(AssertionError, match=r"assert \[\] == \[\(1, 1\)\]"):
        check_zombie_refused(session_factory(sqlite))


def test_a_repetition_that_is_accepted_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the state a trial would end twice: the schema knows that nobody runs it."""
    monkeypatch.setattr(completion, "_swap", swapping(attempts=True, running=False))
    with pytest.raises(IntegrityError, match="CHECK constraint failed: ck_arms_running"):
        check_repetition_refused(session_factory(sqlite))


def test_a_repetition_that_the_counters_hide_is_caught_by_the_outcomes_key(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the counters not to see it, a trial still has one outcome at most."""
    monkeypatch.setattr(completion, "_swap", swapping(attempts=True, running=False))
    monkeypatch.setattr(completion, "_count", lambda *_: None)
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: outcomes\.trial"):
        check_repetition_refused(session_factory(sqlite))


def test_a_counter_that_is_updated_twice_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = completion.count_ended

    def twice(session: Any, sweep: str, ended: Any) -> None:
        sound(session, sweep, ended)
        sound(session, sweep, ended)

    sessions = session_factory(sqlite)
    sweep = create(sessions)
    taken = claim(sessions, sweep, 2)
    monkeypatch.setattr(completion, "count_ended", twice)
    complete(sessions, [outcome(t) for t in taken])
    with pytest.raises(AssertionError, match=r"\('(plain|noisy)', 'finished'\)\s+assert 2 == 1"):
        check_counters(sessions, sweep)

"""The store's laws can fail: completion without its compare-and-set is caught."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, tuple_, update
from sqlalchemy.exc import IntegrityError

from service.store import moves
from service.store.counters import Move
from service.store.engine import session_factory
from service.store.moves import Moved
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
    """`moves.swap` that compares the attempt, the state, or neither."""

    def swap(session: Any, fates: Any, *, now: Any) -> dict[Any, Any]:
        if not fates:
            return {}
        named, state = {f.trial: f for f in fates}, fates[0].state
        t = trials.c
        conditions = [t.id.in_(named)]
        conditions += [tuple_(t.id, t.attempt).in_([f[:2] for f in fates])] if attempts else []
        conditions += [t.state == "running"] if running else []
        rows = session.execute(
            update(trials)
            .where(*conditions)
            .values(state=state, ended_at=None if state == "waiting" else now)
            .returning(t.id, t.cell, t.arm, t.structure, t.cohort)
        ).all()
        return {
            (r.id, named[r.id].attempt): (
                Moved(r.cell, r.arm),
                Move(*r[1:], "running", named[r.id].state),
            )
            for r in rows
        }

    return swap


def test_swapping_as_it_should_be_breaks_no_law(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in with both comparisons is sound, so what follows fails by their lack alone."""
    monkeypatch.setattr(moves, "swap", swapping(attempts=True, running=True))
    check_zombie_refused(session_factory(sqlite))
    check_repetition_refused(session_factory(sqlite))


def test_a_zombies_write_that_is_accepted_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the attempt the late write is not refused: the law's first line."""
    monkeypatch.setattr(moves, "swap", swapping(attempts=False, running=True))
    with pytest.raises(AssertionError, match=r"assert \[\] == \[\(1, 1\)\]"):
        check_zombie_refused(session_factory(sqlite))


def test_a_repetition_that_is_accepted_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the state a trial would end twice: the schema knows that nobody runs it."""
    monkeypatch.setattr(moves, "swap", swapping(attempts=True, running=False))
    with pytest.raises(IntegrityError, match="CHECK constraint failed: ck_arms_running"):
        check_repetition_refused(session_factory(sqlite))


def test_a_repetition_that_the_counters_hide_is_caught_by_the_outcomes_key(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the counters not to see it, a trial still has one outcome at most."""
    monkeypatch.setattr(moves, "swap", swapping(attempts=True, running=False))
    monkeypatch.setattr(moves, "count", lambda *_: None)
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: outcomes\.trial"):
        check_repetition_refused(session_factory(sqlite))


def test_a_counter_that_is_updated_twice_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = moves.count

    def twice(session: Any, sweep: str, moved: Any) -> None:
        sound(session, sweep, moved)
        sound(session, sweep, [m._replace(before=None) for m in moved])

    sessions = session_factory(sqlite)
    sweep = create(sessions)
    taken = claim(sessions, sweep, 2)
    monkeypatch.setattr(moves, "count", twice)
    complete(sessions, [outcome(t) for t in taken])
    with pytest.raises(AssertionError):
        check_counters(sessions, sweep)

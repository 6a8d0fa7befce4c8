"""The store's laws can fail: completion without its compare-and-set is caught."""

from typing import Any

import pytest
from sqlalchemy import Engine, update

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


def careless(session: Any, fates: Any, *, now: Any) -> dict[Any, Any]:
    """Moves whatever trial is named, whoever writes."""
    if not fates:
        return {}
    named = {f.trial: f for f in fates}
    rows = session.execute(
        update(trials)
        .where(trials.c.id.in_(named))
        .values(state=fates[0].state, ended_at=now)
        .returning(trials.c.id, trials.c.cell, trials.c.arm, trials.c.structure, trials.c.cohort)
    ).all()
    return {
        (r.id, named[r.id].attempt): (
            Moved(r.cell, r.arm),
            Move(*r[1:], "running", named[r.id].state),
        )
        for r in rows
    }


def test_a_zombies_write_that_is_accepted_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "swap", careless)
    with pytest.raises(Exception, match=r"assert|UNIQUE|CHECK"):
        check_zombie_refused(session_factory(sqlite))


def test_a_repetition_that_is_accepted_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "swap", careless)
    with pytest.raises(Exception, match=r"assert|UNIQUE|CHECK"):
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

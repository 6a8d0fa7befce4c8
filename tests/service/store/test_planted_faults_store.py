"""The store's laws can fail: completion without its compare-and-set is caught."""

from typing import Any

import pytest
from sqlalchemy import Engine, update

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


def careless(session: Any, sweep: str, pairs: Any, values: Any) -> dict[Any, Any]:
    """Moves whatever trial is named, whoever writes."""
    if not pairs:
        return {}
    attempts = dict(pairs)
    rows = session.execute(
        update(trials)
        .where(trials.c.sweep == sweep, trials.c.id.in_(attempts))
        .values(**values)
        .returning(trials.c.id, trials.c.cell, trials.c.arm, trials.c.cohort, trials.c.structure)
    ).all()
    return {(r.id, attempts[r.id]): r for r in rows}


def test_a_zombies_write_that_is_accepted_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "_swap", careless)
    with pytest.raises(Exception, match=r"assert|UNIQUE|CHECK"):
        check_zombie_refused(session_factory(sqlite))


def test_a_repetition_that_is_accepted_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "_swap", careless)
    with pytest.raises(Exception, match=r"assert|UNIQUE|CHECK"):
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
    with pytest.raises(AssertionError):
        check_counters(sessions, sweep)

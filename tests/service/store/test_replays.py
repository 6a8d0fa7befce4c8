"""A replay that an exclusion ends stays ended, and neither holds the other up."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from service.store import exclusion, replays, sweeps
from service.store.classes import class_id
from service.store.tables import trials
from tests.service.samples import NUMERICS, moment, outcome
from tests.service.store.test_batches import watched
from tests.service.store.test_conformance import create
from tests.service.store.test_exclusion import exclude, trained
from workers.messages import Assignment, Failure

Sessions = sessionmaker[Session]


def asked(sessions: Sessions, worker: str = "b") -> tuple[str, int, int]:
    """A sweep at its end, a trial of a worker, and a replay of it; b will be excluded."""
    sweep = create(sessions)
    trained(sessions, sweep)
    with sessions.begin() as session:
        trial = session.scalars(
            select(trials.c.id).where(trials.c.sweep == sweep, trials.c.worker == worker).limit(1)
        ).one()
        return sweep, trial, replays.ask(session, trial, None, moment())


def begin(sessions: Sessions, replay: int) -> Assignment:
    with sessions.begin() as session:
        task = replays.begin(session, replay, "a")
    assert task is not None
    return task


def state(sessions: Sessions, sweep: str) -> tuple[Any, Any]:
    with sessions() as session:
        [found] = replays.listed(session, sweep=sweep)
    return found["state"], found["error"]


ENDED = ("failed", "the outcome was excluded")


def test_what_waits_is_read_by_as_few_statements_for_many_sweeps_as_for_one(
    engine: Engine, sessions: Sessions
) -> None:
    """Each with the workers that were excluded from it."""

    def look() -> tuple[int, list[frozenset[str]], list[frozenset[str]]]:
        with sessions() as session, watched(engine) as statements:
            offered = replays.waiting(session, {("deep_mlp", class_id(NUMERICS))})
            wait = replays.asked(session)
        return len(statements), [w.excluded for w in offered], [w.excluded for w in wait]

    asked(sessions)
    one, *none = look()
    assert none == [[frozenset()]] * 2
    for _ in range(3):
        exclude(sessions, asked(sessions, "a")[0])
    many, offered, wait = look()
    assert many == one
    assert offered == [frozenset(), *[frozenset("b")] * 3]
    assert sorted(map(len, wait)) == [0, 1, 1, 1]


def test_a_replay_that_has_failed_since_it_was_offered_is_not_begun(sessions: Sessions) -> None:
    """The turn goes on; its other work must not be rolled back."""
    sweep, _, replay = asked(sessions)
    exclude(sessions, sweep)
    with sessions.begin() as session:
        assert replays.begin(session, replay, "a") is None
    assert state(sessions, sweep) == ENDED


def test_what_comes_of_a_replay_that_has_failed_is_not_recorded(sessions: Sessions) -> None:
    sweep, trial, replay = asked(sessions)
    task = begin(sessions, replay)
    exclude(sessions, sweep)
    with sessions.begin() as session:
        assert replays.record(session, replay, outcome(task), "a", moment()) is None
        assert replays.record(session, replay, Failure(trial, 1, "E", "T"), "a", moment()) is None
        replays.lose(session, replay, moment())
        assert replays.hand_back(session, []) == 0
    assert state(sessions, sweep) == ENDED


def test_a_replay_that_was_deleted_is_nobodys(sessions: Sessions) -> None:
    sweep, trial, replay = asked(sessions)
    with sessions.begin() as session:
        sweeps.remove(session, sweep)
    with sessions.begin() as session:
        assert replays.begin(session, replay, "a") is None
        assert replays.record(session, replay, Failure(trial, 1, "E", "T"), "a", moment()) is None
        replays.lose(session, replay, moment())


Act = Callable[[Session, int], object]
ACTS: dict[str, Act] = {
    "begin": lambda s, r: replays.begin(s, r, "a"),
    "record": lambda s, r: replays.record(s, r, Failure(1, 1, "E", "T"), "a", moment()),
    "lose": lambda s, r: replays.lose(s, r, moment()),
    "hand_back": lambda s, _: replays.hand_back(s, []),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_turn_and_an_exclusion_do_not_wait_for_each_other(
    engine: Engine, sessions: Sessions, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn locks the sweep after it changed the replay, which the exclusion changes last."""
    if engine.dialect.name == "sqlite":
        pytest.skip("it has one writer at a time")
    sweep, _, replay = asked(sessions)
    if act != "begin":
        begin(sessions, replay)
    locked, passed = threading.Event(), threading.Event()
    errors: list[DBAPIError] = []
    lock = exclusion.lock

    def first(session: Session, of: str) -> Any:
        row = lock(session, of)
        locked.set()
        passed.wait(0.5)
        return row

    monkeypatch.setattr(exclusion, "lock", first)

    def other() -> None:
        try:
            exclude(sessions, sweep)
        except DBAPIError as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    assert locked.wait(20)
    try:
        with sessions.begin() as session:
            ACTS[act](session, replay)
            passed.set()
            sweeps.lock(session, sweep)
    except DBAPIError as error:
        errors.append(error)
    thread.join(30)
    assert errors == []
    assert state(sessions, sweep) == ENDED

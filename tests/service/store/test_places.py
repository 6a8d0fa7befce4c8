"""Where trials ran and what replays came to: the same on each database."""

from dataclasses import replace

import numpy as np
from sqlalchemy import select
from sqlalchemy.event import listen
from sqlalchemy.orm import Session, sessionmaker

from service.report.audit import audit_of
from service.store import places, replays
from service.store.classes import class_id
from service.store.tables import cells, trials
from tests.service.samples import NUMERICS, moment, outcome
from tests.service.store.test_conformance import claim, complete, create
from workers.messages import Failure

Sessions = sessionmaker[Session]


def ended(sessions: Sessions) -> str:
    """A cohort that two workers trained, one trial errored, and a second that has not settled."""
    sweep = create(sessions)
    with sessions.begin() as session:
        places.know(session, "a:1", "a cpu", moment())
        places.know(session, "a:1", "a gpu 7", moment(1))
        places.know(session, "b:2", "", moment())
    first, second = claim(sessions, sweep, 5, "a:1"), claim(sessions, sweep, 5, "b:2")
    for taken in (first, second):
        done = [
            replace(outcome(t), pack=2, lane=i)
            for i, t in enumerate(taken)
            if t.trial not in (2, 10)
        ]
        broken = [Failure(t.trial, t.attempt, "e", "t") for t in taken if t.trial == 2]
        complete(sessions, done, failures=broken)
    for _ in range(2):
        again = next(t for t in claim(sessions, sweep, 1, "a:1"))
        complete(sessions, failures=[Failure(again.trial, again.attempt, "e", "t")])
    return sweep


def test_places_are_those_of_settled_trials_with_an_outcome(sessions: Sessions) -> None:
    sweep = ended(sessions)
    with sessions() as session:
        found = places.ran(session, sweep)
        settled = session.execute(
            select(cells.c.id, trials.c.seed)
            .join(trials, trials.c.cell == cells.c.id)
            .where(trials.c.cohort == 0, trials.c.state == "finished")
        ).all()
    times = found.times.tolist()
    assert sorted(np.repeat(found.cell, found.times).tolist()) == sorted(r.id for r in settled)
    assert found.times @ found.success == sum(r.seed % 3 == 0 for r in settled)
    by_name = {
        name: [
            p.levels[i] if i >= 0 else None
            for i, n in zip(p.of, times, strict=True)
            for _ in range(n)
        ]
        for name, p in found.places.items()
    }
    assert by_name["worker"].count("a:1") == 4
    assert by_name["worker"].count("b:2") == 3
    assert set(by_name["device"]) == {"a gpu 7", None}
    assert set(by_name["pack"]) == {"a:1 pack 2", "b:2 pack 2"}
    assert sorted(map(str, by_name["lane"])) == ["0", "0", "1", "2", "2", "3", "4"]
    assert set(by_name["hour"]) == {"2026-11-24 00"}
    assert found.success.dtype == np.bool_


def test_a_sweep_without_settled_trials_has_an_empty_audit(sessions: Sessions) -> None:
    sweep = create(sessions)
    with sessions() as session:
        found = audit_of(session, sweep)
    assert (found["trials"], found["flags"], found["levels"]) == (0, [], [])
    assert found["conclusion"].startswith("nothing to compare")


def test_a_replay_is_asked_for_begun_and_recorded(sessions: Sessions) -> None:
    sweep = ended(sessions)
    with sessions.begin() as session:
        made = replays.ask_sample(session, sweep, 1.0, None, moment())
        assert len(made) == 7
        assert replays.ask_sample(session, sweep, 1.0, None, moment()) == []
        kind = "deep_mlp", class_id(NUMERICS)
        assert replays.asked(session) == [replays.Asked(*kind, len(made))]
        first = replays.waiting(session, {kind})[0]
        task = replays.begin(session, first.id, "b:2")
        assert task is not None
        assert replays.hand_back(session, [first.id]) == 0
        assert replays.record(session, first.id, outcome(task), "b:2", moment()) is True
        second = replays.begin(session, made[1], "b:2")
        assert second is not None
        changed = outcome(second, 0.123)
        assert replays.record(session, made[1], changed, "b:2", moment()) is False
        replays.begin(session, made[2], "b:2")
        assert replays.hand_back(session, []) == 1
        counts = replays.counts(session, sweep)
    assert counts == {"waiting": 5, "running": 0, "failed": 0, "equal": 1, "different": 1}
    with sessions() as session:
        rows = replays.listed(session, sweep=sweep)
    assert [r["differs"] for r in rows[:3]] == [None, "metrics", None]
    assert {r["author"] for r in rows} == {"a:1", "b:2"}


def test_a_sample_is_written_by_a_few_statements_in_the_order_drawn(sessions: Sessions) -> None:
    """One a replay took seconds in which nobody else could write."""
    sweep = create(sessions, seeds=100, cohort=100)
    complete(sessions, [outcome(t) for t in claim(sessions, sweep, 400, "a:1")])
    said: list[str] = []
    with sessions.begin() as session:
        bind = session.get_bind()
        listen(bind, "before_cursor_execute", lambda *given: said.append(given[2]))
        made = replays.ask_sample(session, sweep, 1.0, None, moment())
    assert len(made) == 400
    assert made == sorted(made)
    assert len([s for s in said if s.lstrip().startswith("INSERT INTO replays")]) <= 2
    assert "FOR UPDATE" in said[0] or sessions.kw["bind"].dialect.name == "sqlite"
    with sessions() as session:
        rows = replays.listed(session, sweep=sweep, limit=1000)
    assert {r["author"] for r in rows} == {"a:1"}
    assert [r["trial"] for r in rows] != sorted(r["trial"] for r in rows)


def test_a_trial_is_asked_for_under_its_sweeps_lock(sessions: Sessions) -> None:
    """As a deletion takes it first and then the trials, the other way round would be a deadlock."""
    ended(sessions)
    said: list[str] = []
    with sessions.begin() as session:
        listen(session.get_bind(), "before_cursor_execute", lambda *given: said.append(given[2]))
        replays.ask(session, 1, None, moment())
    asked = next(i for i, s in enumerate(said) if "INSERT INTO replays" in s)
    locks = [i for i, s in enumerate(said) if "FOR UPDATE" in s]
    assert sessions.kw["bind"].dialect.name == "sqlite" or min(locks) < asked

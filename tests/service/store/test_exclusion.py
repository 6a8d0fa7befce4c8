"""A worker is excluded: its trials run again, nothing is counted twice, and a trail stays."""

import contextlib
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from models.catalog import experiments
from service.report.build import build
from service.spec.extension import missing, read_extension
from service.store import claims, completion, exclusion, extending, pairing, release, sweeps, trials
from service.store.classes import class_id
from service.store.errors import StateConflictError, UnknownSweepError
from service.store.evidence import run_facts
from service.store.plans import plan_of
from service.store.progress import cell_counts, progress
from service.store.tables import excluded_trials
from service.store.tables import sweeps as rows
from service.store.tables import trials as rows_of_trials
from tests.service.samples import NUMERICS, moment, outcome
from tests.service.store.test_conformance import (
    check_counters,
    claim,
    complete,
    create,
)
from workers.messages import Assignment, Failure, Outcome

Sessions = sessionmaker[Session]


def wrong(task: Assignment) -> Outcome:
    """What a broken worker returns: every third outcome is another."""
    return outcome(task, 0.95, fingerprint="wrong") if task.trial % 3 == 0 else outcome(task)


def trained(sessions: Sessions, sweep: str, *, broken: bool = False) -> None:
    """To its end, by workers a and b in turn; b may be broken."""
    idle = 0
    for turn in range(1000):
        worker = "ab"[turn % 2]
        taken = claim(sessions, sweep, 3, worker)
        idle = 0 if taken else idle + 1
        if idle == 2:
            break
        yields = wrong if worker == "b" and broken else outcome
        complete(sessions, [yields(t) for t in taken])


def exclude(sessions: Sessions, sweep: str, worker: str = "b", why: str = "flips") -> Any:
    with sessions.begin() as session:
        return exclusion.exclude(session, sweep, worker, why, now=moment(9))


def everything(sessions: Sessions, sweep: str) -> dict[str, Any]:
    """All that is counted, and the findings."""
    with sessions() as session:
        return {
            "progress": progress(session, sweep).arms,
            "settled": progress(session, sweep).settled_cohorts,
            "cells": cell_counts(session, sweep),
            "pairs": pairing.counted_pairs(session, sweep),
            "hash": build(session, sweep).findings_hash,
            "state": sweeps.show(session, sweep).state,
        }


def test_without_the_broken_worker_everything_is_as_if_it_had_never_been(
    sessions: Sessions,
) -> None:
    honest, sweep = create(sessions), create(sessions)
    trained(sessions, honest)
    trained(sessions, sweep, broken=True)
    spoilt = everything(sessions, sweep)
    found = exclude(sessions, sweep)
    assert (found.trials, found.equal, found.different, found.pending) == (12, 0, 0, 12)
    with sessions() as session:
        now = progress(session, sweep)
        assert (now.state, now.settled_cohorts, now.ended) == ("running", 0, 12)
        assert [a.successes for a in now.arms] == [(0, 0), (0, 0)]
    check_counters(sessions, sweep)
    while taken := claim(sessions, sweep, 5, "a"):
        assert {t.attempt for t in taken} == {2}
        complete(sessions, [outcome(t) for t in taken])
        check_counters(sessions, sweep)
    whole = everything(sessions, honest)
    assert everything(sessions, sweep) == whole
    assert spoilt != whole
    with sessions() as session:
        [found] = exclusion.trail(session, sweep)
        log = build(session, sweep).run_log
    assert (found.worker, found.reason, found.excluded_at) == ("b", "flips", moment(9))
    assert found.pending == 0
    assert found.equal + found.different == 12
    assert found.different > 0
    assert log["exclusions"][0]["different"] == found.different


def nothing(*_: object, **__: object) -> None:
    """A step that is left out."""


@pytest.mark.parametrize("step", ["unsettle", "_take_out"])
def test_the_comparison_fails_where_a_step_is_left_out(
    sessions: Sessions, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted faults: cohorts stay settled, or outcomes stay."""
    honest, sweep = create(sessions), create(sessions)
    trained(sessions, honest)
    trained(sessions, sweep, broken=True)
    monkeypatch.setattr(exclusion, step, nothing)
    with contextlib.suppress(IntegrityError):  # settled <= arrived already tells
        exclude(sessions, sweep)
        trained(sessions, sweep)
    with sessions() as session:
        spoilt = progress(session, sweep).arms
    with sessions() as session:
        assert spoilt != progress(session, honest).arms


def test_an_honest_workers_trials_come_out_the_same(sessions: Sessions) -> None:
    sweep = create(sessions)
    trained(sessions, sweep)
    before = everything(sessions, sweep)
    exclude(sessions, sweep)
    trained(sessions, sweep)
    with sessions() as session:
        [found] = exclusion.trail(session, sweep)
    assert (found.equal, found.different, found.pending) == (12, 0, 0)
    assert everything(sessions, sweep) == before


def test_the_trail_accuses_nobody_of_what_has_no_outcome_and_tells_only_what_is_settled(
    sessions: Sessions,
) -> None:
    """One is errored this time, its cohort settles; another ends beyond it, the rest is dropped."""
    sweep = create(sessions)
    trained(sessions, sweep)
    exclude(sessions, sweep)

    def told() -> tuple[int, ...]:
        with sessions() as session:
            [found] = exclusion.trail(session, sweep)
        return found.equal, found.different, found.without_outcome, found.pending

    with sessions() as session:
        first = session.scalars(
            select(rows_of_trials.c.id).where(
                rows_of_trials.c.sweep == sweep,
                rows_of_trials.c.state == "waiting",
                rows_of_trials.c.cohort == 0,
            )
        ).all()
    taken = claim(sessions, sweep, len(first) + 1, "a")
    *those, beyond = sorted(taken, key=lambda t: t.trial not in first)
    assert {t.trial for t in those} == set(first)
    complete(sessions, [outcome(t) for t in (*those[1:], beyond)])
    assert told() == (0, 0, 0, 12)
    bad = those[0]
    for _ in range(3):
        complete(sessions, failures=[Failure(bad.trial, bad.attempt, "e", "t")])
        bad = next((t for t in claim(sessions, sweep, 12, "a") if t.trial == bad.trial), bad)
    assert told() == (len(first) - 1, 0, 1, 12 - len(first))
    with sessions.begin() as session:
        sweeps.cancel(session, sweep, now=moment())
        release.release_all(session, now=moment(3))
    assert told() == (len(first) - 1, 0, 12 - len(first), 1)


def test_device_hours_leave_out_the_time_before_an_extension_and_an_exclusion(
    sessions: Sessions,
) -> None:
    """Whoever trains is busy from 1 s to 2 s: after 0 s, 100 s and 200 s."""
    sweep = create(sessions)

    def train(since: float) -> float:
        with sessions.begin() as session:
            while taken := claims.claim(session, sweep, 0, 9, worker="a", now=moment(since + 1)):
                completion.complete(
                    session,
                    outcomes=[outcome(t) for t in taken],
                    failures=[],
                    dropped=[],
                    numerics_id=class_id(NUMERICS),
                    max_attempts=3,
                    now=moment(since + 2),
                )
        with sessions() as session:
            return float(run_facts(session, sweep)["device_hours"]) * 3600

    assert train(0) == pytest.approx(1.0)
    with sessions() as session:
        before = plan_of(session, sweep)
    found = missing(before, read_extension({"seeds": 8}), experiments(), settled=3)
    assert found is not None
    with sessions.begin() as session:
        extending.extend(session, sweep, before, found, None, now=moment(50))
    assert train(100) == pytest.approx(2.0)
    last = (rows_of_trials.c.sweep == sweep) & (rows_of_trials.c.seed == 7)
    with sessions.begin() as session:
        session.execute(update(rows_of_trials).where(last).values(worker="b"))
        exclusion.exclude(session, sweep, "b", "flips", now=moment(150))
    assert train(200) == pytest.approx(3.0)


def test_in_the_middle_of_a_sweep_what_the_worker_trains_is_another_s_at_once(
    sessions: Sessions,
) -> None:
    """Its late return is refused; only cohorts from its first trial on settle anew."""
    sweep = create(sessions)
    complete(sessions, [outcome(t) for t in claim(sessions, sweep, 8, "a")])
    ended, running = claim(sessions, sweep, 4, "b"), claim(sessions, sweep, 2, "b")
    complete(sessions, [outcome(t) for t in ended])
    assert exclude(sessions, sweep).trials == 4
    with sessions() as session:
        now = progress(session, sweep)
    assert (now.settled_cohorts, now.ended, now.running) == (1, 8, 0)
    late = complete(sessions, [outcome(t) for t in running])
    assert late.accepted == 0
    again = claim(sessions, sweep, 6, "a")
    assert {t.trial for t in again} == {t.trial for t in (*ended, *running)}
    assert {t.attempt for t in again} == {2}
    complete(sessions, [outcome(t) for t in again])
    trained(sessions, sweep)
    with sessions() as session:
        assert progress(session, sweep).ended == 24
    check_counters(sessions, sweep)


def test_errored_trials_of_the_worker_get_all_their_attempts_again(sessions: Sessions) -> None:
    sweep = create(sessions)
    for _ in range(3):
        [task] = claim(sessions, sweep, 1, "b")
        complete(sessions, failures=[Failure(task.trial, task.attempt, "e", "t")])
    exclude(sessions, sweep)
    [task] = claim(sessions, sweep, 1, "a")
    assert task.attempt == 4
    complete(sessions, failures=[Failure(task.trial, task.attempt, "e", "t")])
    with sessions() as session:
        assert trials.show(session, task.trial).state == "waiting"
    check_counters(sessions, sweep)


def test_an_excluded_worker_s_claims_are_refused_and_leave_the_queue_as_it_is(
    sessions: Sessions,
) -> None:
    """Also beside another's in one call, and of suspects; of other sweeps it gets what it asks."""
    sweep = create(sessions)
    lost = claim(sessions, sweep, 2, "b")
    for _ in range(2):
        with sessions.begin() as session:
            release.lose(session, [(t.trial, t.attempt) for t in lost], now=moment())
        lost = claim(sessions, sweep, 2, "b")
    exclude(sessions, sweep)
    assert claim(sessions, sweep, 4, "b") == []
    with sessions.begin() as session:
        shares = [claims.Share("b", 4), claims.Share("a", 4)]
        mine, other = claims.claim_shares(session, sweep, 0, shares, now=moment(1))
        suspects = [
            claims.claim_suspects(session, sweep, 0, 2, worker=name, now=moment(1)) for name in "ba"
        ]
    assert (len(mine), len(other)) == (0, 4)
    assert [len(found) for found in suspects] == [0, 2]
    assert len(claim(sessions, create(sessions), 4, "b")) == 4
    check_counters(sessions, sweep)


def test_excluding_twice_changes_nothing_and_another_may_follow(sessions: Sessions) -> None:
    sweep = create(sessions)
    trained(sessions, sweep)
    first = exclude(sessions, sweep)
    assert exclude(sessions, sweep, why="again") == first
    taken = claim(sessions, sweep, 12, "c")
    complete(sessions, [outcome(t) for t in taken])
    second = exclude(sessions, sweep, "c", "also bad")
    assert second.trials == 12
    trained(sessions, sweep)
    with sessions() as session:
        found = exclusion.trail(session, sweep)
        assert session.scalar(select(func.count()).select_from(excluded_trials)) == 24
    assert [(e.worker, e.equal) for e in found] == [("b", 12), ("c", 12)]


def test_what_cannot_be_excluded_is_refused_with_the_cure(sessions: Sessions) -> None:
    sweep = create(sessions)
    trained(sessions, sweep)
    with pytest.raises(StateConflictError, match=r"ran no trial.*name one of a, b"):
        exclude(sessions, sweep, "z")
    with pytest.raises(UnknownSweepError):
        exclude(sessions, "nope")
    gone = create(sessions)
    complete(sessions, [outcome(t) for t in claim(sessions, gone, 4, "b")])
    with sessions.begin() as session:
        sweeps.cancel(session, gone, now=moment())
    with pytest.raises(StateConflictError, match=r"cancelled; nothing.*submit the same spec"):
        exclude(sessions, gone)


def test_a_sweep_with_exclusions_is_deleted_whole(sessions: Sessions) -> None:
    sweep = create(sessions)
    trained(sessions, sweep)
    exclude(sessions, sweep)
    trained(sessions, sweep)
    with sessions.begin() as session:
        sweeps.remove(session, sweep)
        assert session.scalar(select(func.count()).select_from(excluded_trials)) == 0
        assert exclusion.trail(session, sweep) == []
        assert claims.queues(session) == []


def test_a_sweep_that_its_rule_stopped_is_refused(sessions: Sessions) -> None:
    """What a rule that is not met any more would need was cancelled."""
    sweep = create(sessions)
    trained(sessions, sweep)
    stopped = {"stopped_cohort": 3, "stopped_when": "evidence"}
    with sessions.begin() as session:
        session.execute(update(rows).where(rows.c.id == sweep).values(stopped))
    before = everything(sessions, sweep)
    with pytest.raises(StateConflictError, match=r"stopped by its rule \(evidence\).*same spec"):
        exclude(sessions, sweep)
    assert everything(sessions, sweep) == before

"""A stop rule ends a sweep at one cohort, whoever returns what, when, and with how much else."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session, sessionmaker

from service.evidence.stopping import rule_of, verdict
from service.report.build import build
from service.store import claims, pairing, release, settling, sweeps
from service.store.engine import open_engine, session_factory, upgrade
from service.store.errors import StateConflictError
from service.store.progress import Progress, Stopped, progress
from service.store.tables import outcomes, trials
from service.store.tables import sweeps as rows
from tests.service.samples import moment, outcome
from tests.service.store.test_conformance import (
    check_counters,
    claim,
    claim_suspects,
    complete,
    create,
)
from workers.messages import Assignment, Failure, Outcome

Sessions = sessionmaker[Session]
EVIDENCE: dict[str, Any] = {
    "seeds": 20,
    "cohort": 2,
    "stop": {"when": "evidence", "alpha": 0.05},
}


def noisy_wins(task: Assignment) -> Outcome:
    """Noisy always succeeds, plain at every fifth seed: of the first cohorts 2, 4 and 2 pairs."""
    return outcome(task, 0.95 if task.values["noise_eta"] or task.seed % 5 == 0 else 0.2)


def seen(sessions: Sessions, sweep: str) -> Progress:
    with sessions() as session:
        return progress(session, sweep)


def check_first_cohort(sessions: Sessions, *, later: int) -> None:
    """The law that planted faults must break.

    8 wins of 8 make e = 2^8 / 9 = 28 > 20, in the third cohort; 6 made 9.1. The third and
    the fourth come at once, but for so many trials of the fourth that come `later`.
    """
    sweep = create(sessions, **EVIDENCE)
    for cohort in (1, 2):
        complete(sessions, [noisy_wins(t) for t in claim(sessions, sweep, 8)])
        assert seen(sessions, sweep).state == "running"
        assert seen(sessions, sweep).settled_cohorts == cohort
    taken = claim(sessions, sweep, 16)
    complete(sessions, [noisy_wins(t) for t in taken[: 16 - later]])
    assert seen(sessions, sweep).state == ("stopping" if later else "finished")
    complete(sessions, [noisy_wins(t) for t in taken[16 - later :]])
    now = seen(sessions, sweep)
    assert (now.state, now.reason) == ("finished", "evidence")
    assert now.stopped == Stopped("evidence", 3)
    assert now.settled_cohorts == 3
    assert now.ended == now.trials == 80
    assert sum(arm.ended["finished"] for arm in now.arms) == 32
    assert sum(sum(arm.settled.values()) for arm in now.arms) == 24
    assert claim(sessions, sweep, 9) == []
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(outcomes)) == 32  # kept
        (primary, *_) = [c for c in pairing.counted_pairs(session, sweep) if c.criterion == 0]
        assert primary.pairs.n == 12
    check_counters(sessions, sweep)


@pytest.mark.parametrize("later", [0, 1])
def test_evidence_ends_a_sweep_at_the_first_cohort_that_has_it(
    sessions: Sessions, later: int
) -> None:
    check_first_cohort(sessions, later=later)


def test_a_rule_that_is_judged_once_a_return_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It settles all that came, and then looks: the cohort depends on what came together."""
    sound = settling.settle

    def late(session: Session, held: Any) -> Any:
        sound(session, {**held, "stop": None})
        one = held["id"]
        reached = session.scalar(select(rows.c.settled_cohorts).where(rows.c.id == one))
        primary = pairing.primary_pairs(session, one)
        rule = rule_of(held["stop"])
        assert rule is not None
        why = verdict(rule, primary.pairs, primary.unseen)
        if why and held["stopped_when"] is None:
            stopped = {"stopped_cohort": reached, "stopped_when": why}
            session.execute(update(rows).where(rows.c.id == one).values(**stopped))
        return why

    monkeypatch.setattr(settling, "settle", late)
    with pytest.raises(AssertionError, match="Stopped"):
        check_first_cohort(session_factory(sqlite), later=0)


def test_settling_that_goes_on_after_the_stop_is_caught(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = settling.settle

    def on(session: Session, held: Any) -> Any:
        return sound(session, {**held, "stopped_when": None})

    monkeypatch.setattr(settling, "settle", on)
    with pytest.raises(AssertionError, match="Stopped"):
        check_first_cohort(session_factory(sqlite), later=1)


def test_what_runs_is_dropped_and_what_waits_is_cancelled(sessions: Sessions) -> None:
    sweep = create(sessions, **EVIDENCE)
    complete(sessions, [noisy_wins(t) for t in claim(sessions, sweep, 16)])
    third = claim(sessions, sweep, 16)
    with sessions.begin() as session:
        back = [(t.trial, t.attempt) for t in third[8:10]]
        assert release.hand_back(session, back, now=moment()) == 2
    complete(sessions, [noisy_wins(t) for t in third[:8]])
    now = seen(sessions, sweep)
    assert (now.state, now.reason) == ("stopping", "evidence")
    assert (now.ended, now.running) == (80 - 6, 6)
    running = [(t.trial, t.attempt) for t in third[10:]]
    with sessions.begin() as session:
        assert claims.queues(session) == []
        assert release.unwanted(session, running) == set(running)
        assert sweeps.show(session, sweep).state == "stopping"
        with pytest.raises(StateConflictError, match="is stopping and cannot be paused"):
            sweeps.pause(session, sweep)
        sweeps.cancel(session, sweep, now=moment())  # it ends as its rule said
    # an outcome that was on its way is kept, a failure is not tried again
    complete(
        sessions,
        [noisy_wins(third[10])],
        [Failure(third[11].trial, third[11].attempt, "e", "t")],
        running[2:],
    )
    now = seen(sessions, sweep)
    assert (now.state, now.reason, now.settled_cohorts) == ("finished", "evidence", 3)
    ended = {s: sum(arm.ended[s] for arm in now.arms) for s in ("finished", "cancelled", "errored")}
    assert ended == {"finished": 25, "cancelled": 55, "errored": 0}
    assert complete(sessions, [noisy_wins(third[10])]).accepted == 0
    check_counters(sessions, sweep)


def test_a_paused_sweep_stops_too_when_its_last_trials_settle_the_cohort(
    sqlite: Engine,
) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions, **EVIDENCE)
    complete(sessions, [noisy_wins(t) for t in claim(sessions, sweep, 16)])
    third = claim(sessions, sweep, 8)
    with sessions.begin() as session:
        sweeps.pause(session, sweep)
    complete(sessions, [noisy_wins(t) for t in third])
    assert (seen(sessions, sweep).state, seen(sessions, sweep).reason) == ("finished", "evidence")


def test_what_is_missing_counts_against_the_claim(sqlite: Engine) -> None:
    """Of each cohort a failure of the losing arm is lost: evidence takes longer."""
    sessions = session_factory(sqlite)

    def run(*, lossy: bool) -> Progress:
        sweep = create(sessions, **EVIDENCE)
        while taken := claim(sessions, sweep, 8):
            lost = [t for t in taken if lossy and not t.values["noise_eta"]][:1]
            complete(sessions, [noisy_wins(t) for t in taken if t not in lost])
            for _ in range(3 * len(lost)):
                complete(sessions, failures=[Failure(t.trial, t.attempt, "e", "t") for t in lost])
                lost = claim(sessions, sweep, 1)
            complete(sessions, [noisy_wins(t) for t in lost])
        return seen(sessions, sweep)

    whole, part = run(lossy=False), run(lossy=True)
    assert whole.stopped == Stopped("evidence", 3)
    assert part.stopped is not None
    assert part.stopped.cohort > 3


def test_a_futile_sweep_ends_once_its_effect_is_ruled_out(sessions: Sessions) -> None:
    sweep = create(
        sessions,
        seeds=100,
        cohort=10,
        stop={"when": ["futile", "evidence"]},
        primary={"arm": "noisy", "against": "plain", "effect": 0.4},
    )
    while taken := claim(sessions, sweep, 200):
        complete(sessions, [outcome(t) for t in taken])  # by the seed alone: the arms are equal
    now = seen(sessions, sweep)
    assert now.stopped is not None
    assert now.stopped.when == now.reason == "futile"
    assert now.settled_cohorts == now.stopped.cohort < now.cohorts
    check_counters(sessions, sweep)


def test_at_the_last_cohort_the_plan_is_met_and_nothing_is_stopped(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions, **EVIDENCE | {"seeds": 6})
    while taken := claim(sessions, sweep, 8):
        complete(sessions, [noisy_wins(t) for t in taken])
    now = seen(sessions, sweep)
    assert (now.state, now.reason, now.stopped) == ("finished", None, None)
    assert now.settled_cohorts == now.cohorts == 3


def test_one_that_a_user_cancels_before_keeps_to_its_cohorts(sqlite: Engine) -> None:
    """Cancelled in the third cohort, whose outcomes were on their way: the rule still holds."""
    sessions = session_factory(sqlite)
    sweep = create(sessions, **EVIDENCE)
    complete(sessions, [noisy_wins(t) for t in claim(sessions, sweep, 16)])
    running = claim(sessions, sweep, 16)
    with sessions.begin() as session:
        sweeps.cancel(session, sweep, now=moment())
    complete(sessions, [noisy_wins(t) for t in running])
    now = seen(sessions, sweep)
    assert (now.state, now.settled_cohorts, now.stopped) == ("finished", 3, Stopped("evidence", 3))


def in_some_order(sessions: Sessions, draw: random.Random) -> str:
    """Runs a sweep: random claims, returns, failures, losses and drops, until it has ended."""
    sweep = create(sessions, **EVIDENCE)
    held: list[Assignment] = []
    while True:
        held += claim(sessions, sweep, draw.randint(0, 20)) + claim_suspects(sessions, sweep, 3)
        now = seen(sessions, sweep)
        if now.state == "finished":
            return sweep
        draw.shuffle(held)
        n = draw.randint(0, len(held))
        some, held = held[:n], held[n:]
        with sessions() as session:
            unwanted = release.unwanted(session, [(t.trial, t.attempt) for t in some])
        dropped = [t for t in some if (t.trial, t.attempt) in unwanted and draw.random() < 0.5]
        rest = [t for t in some if t not in dropped]
        failed = [t for t in rest if t.attempt < 3 and draw.random() < 0.2]
        lost = [t for t in rest if t not in failed and draw.random() < 0.05]
        complete(
            sessions,
            [noisy_wins(t) for t in rest if t not in failed and t not in lost],
            [Failure(t.trial, t.attempt, "e", "t") for t in failed],
            [(t.trial, t.attempt) for t in dropped],
        )
        with sessions.begin() as session:
            release.lose(session, [(t.trial, t.attempt) for t in lost], now=moment())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """One SQLite store for many sweeps."""
    folder: Path = tmp_path_factory.mktemp("stopping")
    engine = open_engine(f"sqlite:///{folder / 'store.db'}")
    upgrade(engine)
    yield session_factory(engine)
    engine.dispose()


@pytest.fixture(scope="module")
def calm(store: Sessions) -> str:
    """The hash of a sweep that one worker trained, trial after trial."""
    sweep = create(store, **EVIDENCE)
    while taken := claim(store, sweep, 1):
        complete(store, [noisy_wins(t) for t in taken])
    with store() as session:
        return build(session, sweep).findings_hash


def check_stopped_alike(sessions: Sessions, dice: int, calm: str) -> None:
    sweep = in_some_order(sessions, random.Random(dice))
    with sessions() as session:
        now, found = progress(session, sweep), build(session, sweep)
        left = select(func.count()).where(
            trials.c.sweep == sweep, trials.c.state.in_(("waiting", "running"))
        )
        assert session.scalar(left) == 0
    assert (now.stopped, now.settled_cohorts, now.ended) == (Stopped("evidence", 3), 3, 80)
    assert found.findings["plan"]["stopped"] == {"when": "evidence", "cohort": 3, "alpha": 0.05}
    assert found.findings_hash == calm
    check_counters(sessions, sweep)


@given(dice=st.integers(0, 2**32))
@settings(max_examples=12, deadline=None)
def test_in_whatever_order_trials_return_the_findings_are_the_same(
    store: Sessions, calm: str, dice: int
) -> None:
    check_stopped_alike(store, dice, calm)


def test_they_are_the_same_on_every_database(sessions: Sessions, calm: str) -> None:
    check_stopped_alike(sessions, 7, calm)

"""Lost workers, raised attempts and clean hand-backs are three things, each counted by itself."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from service.store import claims, release, trials
from service.store.suspicion import MOST_LOSSES, SUSPECT, company, spent
from service.store.tables import trials as rows
from tests.service.samples import moment
from tests.service.store.test_conformance import (
    check_counters,
    claim,
    claim_suspects,
    complete,
    create,
)
from workers.messages import Assignment, Failure

Sessions = sessionmaker[Session]


def pairs(tasks: list[Assignment]) -> list[tuple[int, int]]:
    return [(t.trial, t.attempt) for t in tasks]


def lose(sessions: Sessions, tasks: list[Assignment]) -> None:
    """Their common worker dies."""
    with sessions.begin() as session:
        assert release.lose(session, pairs(tasks), now=moment()) == len(tasks)


def hand_back(sessions: Sessions, tasks: list[Assignment]) -> None:
    """Their worker is told to stop."""
    with sessions.begin() as session:
        release.hand_back(session, pairs(tasks), now=moment())


def counts(sessions: Sessions, trial: int) -> tuple[int, int, int]:
    """(attempt, losses, failures)."""
    with sessions() as session:
        query = select(rows.c.attempt, rows.c.losses, rows.c.failures).where(rows.c.id == trial)
        return tuple(session.execute(query).one())  # type: ignore[return-value]


def waiting(sessions: Sessions) -> claims.Queue:
    with sessions() as session:
        [queue] = claims.queues(session)
        return queue


def test_clean_hand_backs_never_error_a_trial_nor_make_it_a_suspect(sessions: Sessions) -> None:
    """Twenty restarts of the service, then one attempt that raises: it is tried again."""
    sweep = create(sessions)
    for _ in range(20):
        hand_back(sessions, claim(sessions, sweep, 1))
    [task] = claim(sessions, sweep, 1)
    assert counts(sessions, task.trial) == (21, 0, 0)
    complete(sessions, failures=[Failure(task.trial, task.attempt, "e", "t")])  # most: 3
    assert counts(sessions, task.trial) == (21, 0, 1)
    [again] = claim(sessions, sweep, 1)
    assert (again.trial, again.attempt) == (task.trial, 22)
    check_counters(sessions, sweep)


def test_a_trial_is_errored_when_it_has_raised_so_often_whatever_else_befell_it(
    sessions: Sessions,
) -> None:
    sweep = create(sessions)
    for time in range(3):
        hand_back(sessions, claim(sessions, sweep, 1))
        [task] = claim(sessions, sweep, 1)
        complete(sessions, failures=[Failure(task.trial, task.attempt, "e", "t")])
        with sessions() as session:
            state = trials.show(session, task.trial).state
        assert state == ("errored" if time == 2 else "waiting")
    check_counters(sessions, sweep)


def test_after_two_losses_trials_wait_apart(sessions: Sessions) -> None:
    sweep = create(sessions)
    for _ in range(SUSPECT):
        lose(sessions, claim(sessions, sweep, 4))
    queue = waiting(sessions)
    assert (queue.suspects, queue.losses, queue.claimable) == (4, SUSPECT, 12)
    fresh = claim(sessions, sweep, 100)
    assert {t.attempt for t in fresh} == {1}
    assert len(fresh) == 12
    apart = claim_suspects(sessions, sweep, 3)
    assert [t.attempt for t in apart] == [3, 3, 3]
    assert waiting(sessions).suspects == 1
    check_counters(sessions, sweep)


def test_those_that_lost_most_come_first(sessions: Sessions) -> None:
    sweep = create(sessions)
    for _ in range(SUSPECT):
        lose(sessions, claim(sessions, sweep, 4))
    worst = claim_suspects(sessions, sweep, 4)[3:]
    lose(sessions, worst)
    with sessions.begin() as session:
        release.release_all(session, now=moment())
    assert waiting(sessions).losses == SUSPECT + 1
    assert claim_suspects(sessions, sweep, 1)[0].trial == worst[0].trial


def test_a_trial_that_was_alone_is_errored_after_its_losses_and_says_so(
    sessions: Sessions,
) -> None:
    sweep = create(sessions)
    two = claim(sessions, sweep, 2)
    for _ in range(MOST_LOSSES + 2):  # beside another it is never errored
        lose(sessions, two)
        two = claim(sessions, sweep, 2) if two[0].attempt < SUSPECT else []
        two = two or claim_suspects(sessions, sweep, 2)
    lose(sessions, two[:1])
    with sessions() as session:
        view = trials.show(session, two[0].trial)
    assert view.state == "errored"
    assert f"lost {MOST_LOSSES + 3} times" in str(view.error)
    assert "worker_lost" in str(view.error)
    hand_back(sessions, two[1:])
    assert waiting(sessions).suspects == 1
    check_counters(sessions, sweep)


def test_the_database_holds_that_no_attempt_is_counted_twice(sessions: Sessions) -> None:
    [task] = claim(sessions, create(sessions), 1)
    with sessions() as session, pytest.raises(IntegrityError, match="ck_trials_failures"):
        session.execute(rows.update().values(losses=1, failures=1).where(rows.c.id == task.trial))


def test_suspects_share_a_worker_with_ever_fewer() -> None:
    assert [company(losses, 64) for losses in range(6)] == [64, 64, 8, 2, 1, 1]
    assert [company(losses, 65_536) for losses in (2, 3, 4)] == [256, 16, 1]
    assert company(2, 1) == 1


def test_only_one_that_was_alone_is_spent_and_was_so_twice() -> None:
    """Alone from the fourth loss on, so that chance alone does not end it."""
    assert [spent(losses, 1) for losses in range(4, 8)] == [False, False, True, True]
    assert not spent(100, 2)
    assert company(MOST_LOSSES - 2, 65_536) == 1

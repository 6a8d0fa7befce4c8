"""What every store does, on SQLite and on PostgreSQL."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session, sessionmaker

from service.evidence.pairs import Pairs
from service.evidence.unseen import Unseen
from service.report import pairing as report_pairing
from service.report.sample import read, won
from service.store import (
    claims,
    classes,
    completion,
    lease,
    pairing,
    release,
    sweeps,
    trials,
)
from service.store.engine import reading_factory, session_factory
from service.store.errors import (
    IdempotencyConflictError,
    StateConflictError,
    UnknownSweepError,
    UnknownTrialError,
)
from service.store.plans import plan_of
from service.store.progress import cell_counts, progress
from service.store.tables import (
    END_STATES,
    arm_successes,
    arms,
    cohort_pairs,
    leftovers,
    metadata,
    successes,
)
from service.store.tables import trials as rows
from tests.service.samples import NUMERICS, moment, outcome, plan
from workers.messages import Assignment, Failure, Outcome

Sessions = sessionmaker[Session]


def create(sessions: Sessions, **changes: object) -> str:
    """A sweep, pinned to a numerics class."""
    with sessions.begin() as session:
        sweep, _ = sweeps.create(session, plan(**changes), now=moment())
        assert classes.pin(session, sweep, NUMERICS)
    return sweep


def claim(sessions: Sessions, sweep: str, limit: int, worker: str = "w") -> list[Assignment]:
    """Claims in a transaction of its own."""
    with sessions.begin() as session:
        return claims.claim(session, sweep, 0, limit, worker=worker, now=moment(1))


def claim_suspects(sessions: Sessions, sweep: str, limit: int) -> list[Assignment]:
    """Claims trials that lost several workers."""
    with sessions.begin() as session:
        return claims.claim_suspects(session, sweep, 0, limit, worker="w", now=moment(1))


def complete(
    sessions: Sessions,
    outcomes: Sequence[Outcome] = (),
    failures: Sequence[Failure] = (),
    dropped: Sequence[tuple[int, int]] = (),
) -> completion.Completed:
    """Completes in a transaction of its own."""
    with sessions.begin() as session:
        return completion.complete(
            session,
            outcomes=outcomes,
            failures=failures,
            dropped=dropped,
            numerics_id=classes.class_id(NUMERICS),
            max_attempts=3,
            now=moment(2),
        )


def check_counters(sessions: Sessions, sweep: str) -> None:
    """Counters equal what a scan of all rows finds."""
    with sessions() as session:
        counted: Counter[tuple[int, str]] = Counter()
        here = rows.c.sweep == sweep
        query = select(rows.c.arm, rows.c.state, func.count()).where(here)
        for arm, state, n in session.execute(query.group_by(rows.c.arm, rows.c.state)):
            counted[arm, state] = n
        won: Counter[tuple[int, int]] = Counter()
        wins = (
            select(rows.c.arm, successes.c.criterion, func.count())
            .join(successes, successes.c.trial == rows.c.id)
            .where(here, successes.c.success == 1)
            .group_by(rows.c.arm, successes.c.criterion)
        )
        for arm, criterion, n in session.execute(wins):
            won[arm, criterion] = n
        found = session.execute(select(arms).where(arms.c.sweep == sweep)).mappings().all()
        now = progress(session, sweep)
        cancelled = now.state in ("cancelling", "cancelled") or now.stopped is not None
        for row in found:
            for state in ("running", *END_STATES):
                if state == "cancelled" and cancelled:
                    continue  # those that never had a row are counted too
                assert row[state] == counted[row["index"], state], (row["name"], state)
        arrived = session.execute(select(arm_successes).where(arm_successes.c.sweep == sweep))
        for r in arrived:
            assert r.arrived == won[r.arm, r.criterion]
    check_pairs(sessions, sweep)


def check_pairs(sessions: Sessions, sweep: str) -> None:
    """Counters of pairs, and those of the cohorts added up, equal what a recount finds."""
    with sessions() as session:
        found = pairing.counted_pairs(session, sweep)
        whole = plan_of(session, sweep)
        assert len(found) == len(whole.compared) * len(whole.criteria)
        sample = read(session, sweep, whole)
        for c in found:
            pairs = report_pairing.pairing(sample, whole.arms[c.arm], whole.arms[c.against])
            recount = report_pairing.table(pairs, won(sample, whole.criteria[c.criterion]))
            assert c.counts == asdict(recount), (c.criterion, c.arm)
            total = Counter(dict.fromkeys(pairing.COUNTED, 0))
            of = {"sweep": sweep, "criterion": c.criterion, "arm": c.arm, "against": c.against}
            each = select(cohort_pairs).where(*(cohort_pairs.c[k] == v for k, v in of.items()))
            for row in session.execute(each).mappings():
                total.update({name: row[name] for name in pairing.COUNTED})
            assert total == c.counts


def test_the_migrations_build_exactly_the_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_plan_comes_back_equal(sessions: Sessions) -> None:
    sweep = create(sessions)
    with sessions() as session:
        assert plan_of(session, sweep) == plan()


def test_sweeps_are_paged_newest_first(sessions: Sessions) -> None:
    made = [create(sessions) for _ in range(3)]
    with sessions() as session:
        first = sweeps.page(session, after=None, limit=2)
        rest = sweeps.page(session, after=first[-1].id, limit=2)
    assert sorted(s.id for s in first + rest) == sorted(made)
    assert [s.id for s in first + rest] == sorted(made, reverse=True)


def test_unknown_sweeps_and_trials_are_said_to_be_so(sessions: Sessions) -> None:
    with sessions() as session:
        with pytest.raises(UnknownSweepError, match="no sweep 'nope'"):
            sweeps.show(session, "nope")
        with pytest.raises(UnknownSweepError):
            progress(session, "nope")
        with pytest.raises(UnknownTrialError):
            trials.show(session, 77)


def test_a_repeated_key_gives_the_same_sweep_and_another_body_is_refused(
    sessions: Sessions,
) -> None:
    with sessions.begin() as session:
        one = sweeps.create(session, plan(), now=moment(), idempotency_key=("k", "a"))
        two = sweeps.create(session, plan(), now=moment(), idempotency_key=("k", "a"))
        assert one == (two[0], True)
        assert two[1] is False
        with pytest.raises(IdempotencyConflictError):
            sweeps.create(session, plan(), now=moment(), idempotency_key=("k", "b"))


def test_claims_follow_cohorts_and_run_at_most_one_ahead(sessions: Sessions) -> None:
    sweep = create(sessions)  # 4 cells x 2 seeds a cohort = 8 trials
    taken = claim(sessions, sweep, 100)
    assert len(taken) == 16
    assert [t.seed for t in taken] == sorted(t.seed for t in taken)
    assert claim(sessions, sweep, 100) == []
    complete(sessions, [outcome(t) for t in taken[:8]])
    assert {t.seed for t in claim(sessions, sweep, 100)} == {4, 5}


def test_the_members_of_a_pair_ride_together(sessions: Sessions) -> None:
    taken = claim(sessions, create(sessions), 8)
    for one, other in zip(taken[::2], taken[1::2], strict=True):
        assert (one.setting, one.seed) == (other.setting, other.seed)
        assert one.values["noise_eta"] != other.values["noise_eta"]


def test_a_released_trial_comes_first_again_under_a_new_attempt(sessions: Sessions) -> None:
    sweep = create(sessions)
    taken = claim(sessions, sweep, 4)
    with sessions.begin() as session:
        pairs = [(t.trial, t.attempt) for t in taken[1:3]]
        assert release.hand_back(session, pairs, now=moment()) == 2
        assert release.hand_back(session, pairs, now=moment()) == 0
    again = claim(sessions, sweep, 3)
    assert [(t.trial, t.attempt) for t in again[:2]] == [(t.trial, 2) for t in taken[1:3]]
    assert [t.seed for t in again[:2]] == [t.seed for t in taken[1:3]]
    check_counters(sessions, sweep)


def check_zombie_refused(sessions: Sessions) -> None:
    """The law that a planted fault must break: a late write changes nothing."""
    sweep = create(sessions)
    [task] = claim(sessions, sweep, 1)
    with sessions.begin() as session:
        release.release_all(session, now=moment())
    [again] = claim(sessions, sweep, 1)
    late = complete(sessions, [outcome(task, 0.1)])
    assert late.refused == [(task.trial, 1)]
    assert complete(sessions, [outcome(again, 0.95)]).accepted == 1
    with sessions() as session:
        assert trials.show(session, task.trial).metrics["test_accuracy"].final == 0.95
    check_counters(sessions, sweep)


def check_repetition_refused(sessions: Sessions) -> None:
    """The law that a planted fault must break: a repeated return counts once."""
    sweep = create(sessions)
    taken = claim(sessions, sweep, 4)
    done = [outcome(t, 0.95) for t in taken]
    assert complete(sessions, done).accepted == 4
    assert len(complete(sessions, done).refused) == 4
    check_counters(sessions, sweep)


def test_a_zombies_write_is_refused(sessions: Sessions) -> None:
    check_zombie_refused(sessions)


def test_a_repeated_return_is_refused(sessions: Sessions) -> None:
    check_repetition_refused(sessions)


def test_settled_counters_wait_for_the_whole_cohort(sessions: Sessions) -> None:
    """Instant successes and slow failures: nothing is settled before the slow ones are in."""
    sweep = create(sessions)
    taken = claim(sessions, sweep, 16)
    complete(sessions, [outcome(t, 0.95) for t in taken[:16] if t.seed % 2 == 0])
    with sessions() as session:
        now = progress(session, sweep)
    assert now.ended == 8
    assert [a.successes for a in now.arms] == [(0, 0), (0, 0)]
    assert [a.settled_trials for a in now.arms] == [0, 0]
    complete(sessions, [outcome(t, 0.1) for t in taken if t.seed == 1])
    with sessions() as session:
        now = progress(session, sweep)
        assert now.settled_cohorts == 1
        assert [a.successes for a in now.arms] == [(2, 2), (2, 2)]
        assert [a.settled_trials for a in now.arms] == [4, 4]
        assert sum(c.successes[0] for c in cell_counts(session, sweep)) == 4


def test_a_later_cohort_settles_only_after_the_earlier_one(sessions: Sessions) -> None:
    sweep = create(sessions)
    taken = claim(sessions, sweep, 16)
    complete(sessions, [outcome(t) for t in taken[8:]])
    with sessions() as session:
        assert progress(session, sweep).settled_cohorts == 0
    complete(sessions, [outcome(t) for t in taken[:8]])
    with sessions() as session:
        assert progress(session, sweep).settled_cohorts == 2


def test_a_failure_is_tried_again_and_then_errored_with_its_traceback(sessions: Sessions) -> None:
    sweep = create(sessions)
    for attempt in (1, 2, 3):
        [task] = claim(sessions, sweep, 1)
        assert task.attempt == attempt
        complete(sessions, failures=[Failure(task.trial, attempt, "ValueError: no", "Trace ...")])
    with sessions() as session:
        view = trials.show(session, task.trial)
        assert (view.state, view.error, view.traceback) == (
            "errored",
            "ValueError: no",
            "Trace ...",
        )
        assert progress(session, sweep).arms[0].ended["errored"] == 1
    check_counters(sessions, sweep)


def test_cancelling_ends_what_waits_and_drops_what_runs(sessions: Sessions) -> None:
    sweep = create(sessions)
    taken = claim(sessions, sweep, 6)
    complete(sessions, [outcome(t) for t in taken[:2]])
    with sessions.begin() as session:
        sweeps.cancel(session, sweep, now=moment())
        assert sweeps.show(session, sweep).state == "cancelling"
        held = [(t.trial, t.attempt) for t in taken[2:]]
        assert release.unwanted(session, held) == set(held)
    assert claim(sessions, sweep, 5) == []
    complete(sessions, dropped=held)
    with sessions() as session:
        now = progress(session, sweep)
        assert now.state == "cancelled"
        assert now.ended == now.trials == 24
        assert sum(a.ended["finished"] for a in now.arms) == 2
        assert sum(a.ended["cancelled"] for a in now.arms) == 22


def test_a_paused_sweep_gives_nothing_out_and_goes_on_when_resumed(sessions: Sessions) -> None:
    sweep = create(sessions)
    taken = claim(sessions, sweep, 2)
    with sessions.begin() as session:
        sweeps.pause(session, sweep)
        assert claims.queues(session) == []
    assert claim(sessions, sweep, 2) == []
    complete(sessions, [outcome(t) for t in taken])
    with sessions.begin() as session:
        sweeps.resume(session, sweep)
        assert sweeps.show(session, sweep).state == "running"
        assert claims.queues(session)[0].claimable == 14


def test_a_change_of_code_must_be_accepted_by_its_class(sessions: Sessions) -> None:
    sweep = create(sessions)
    other = NUMERICS | {"code": "two"}
    with sessions.begin() as session:
        assert not classes.pin(session, sweep, other)
        new = classes.know(session, other)
        sweeps.pause(session, sweep, reason=sweeps.CODE_CHANGED, offered_class=new)
    with (
        sessions.begin() as session,
        pytest.raises(StateConflictError, match=f"--accept-class {new}"),
    ):
        sweeps.resume(session, sweep)
    with sessions.begin() as session:
        sweeps.resume(session, sweep, accept_class=new)
        assert classes.pin(session, sweep, other)
        assert sweeps.show(session, sweep).classes == (classes.class_id(NUMERICS), new)


def test_only_ended_sweeps_are_deleted_and_then_wholly(sessions: Sessions) -> None:
    sweep = create(sessions, seeds=1, cohort=1)
    with sessions.begin() as session, pytest.raises(StateConflictError, match="cancel it first"):
        sweeps.remove(session, sweep)
    complete(sessions, [outcome(t) for t in claim(sessions, sweep, 9)])
    with sessions.begin() as session:
        assert sweeps.show(session, sweep).state == "finished"
        with pytest.raises(StateConflictError):
            sweeps.cancel(session, sweep, now=moment())
        sweeps.remove(session, sweep)
    with sessions() as session:
        for table in metadata.sorted_tables:
            if table.name not in ("numerics_classes", "alembic_version", "leftovers"):
                assert session.scalar(select(func.count()).select_from(table)) == 0, table.name
        left = "its blobs, which a store cannot delete, are named to who can"
        assert session.scalars(select(leftovers.c.sweep)).all() == [sweep], left


def test_pairs_are_counted_over_settled_cohorts_with_what_is_missing(sessions: Sessions) -> None:
    sweep = create(sessions, grid={}, seeds=4, cohort=2)
    taken = claim(sessions, sweep, 8)
    wins = {(0, 0.0): 0.95, (0, 0.01): 0.95, (1, 0.0): 0.1, (1, 0.01): 0.95}
    complete(sessions, [outcome(t, wins[t.seed, t.values["noise_eta"]]) for t in taken[:4]])
    complete(sessions, [outcome(t, 0.95) for t in taken[4:6]])  # half of the second cohort
    with sessions() as session:
        [first, _] = pairing.counted_pairs(session, sweep)
        assert first.pairs == Pairs(both=1, only_a=1, only_b=0, neither=0)
    complete(sessions, [outcome(taken[6], 0.95)])
    for _ in range(2):
        complete(sessions, failures=[Failure(taken[7].trial, taken[7].attempt, "e", "t")])
        [taken[7]] = claim(sessions, sweep, 1)
    complete(sessions, failures=[Failure(taken[7].trial, 3, "e", "t")])
    with sessions() as session:
        [first, _] = pairing.counted_pairs(session, sweep)
        assert first.pairs == Pairs(both=2, only_a=1, only_b=0, neither=0)
        assert (first.counts["b_won"], first.unseen) == (1, Unseen(for_a=0, for_b=1))
        assert sweeps.show(session, sweep).state == "finished"
    check_pairs(sessions, sweep)


@pytest.mark.parametrize("dice", range(2))
def test_pairs_of_three_arms_are_counted_as_cohorts_settle_in_any_order(
    sessions: Sessions, dice: int
) -> None:
    """Outcomes, and errors that use up all attempts, come back in random order and number."""
    draw = random.Random(dice)
    arms = {"plain": {"noise_eta": 0.0}, "a": {"noise_eta": 0.01}, "b": {"noise_eta": 0.1}}
    sweep = create(sessions, arms=arms, primary={"arm": "b", "against": "a"}, cohort=3, seeds=8)
    held: list[Assignment] = []
    while held := held + claim(sessions, sweep, draw.randint(1, 20)):
        draw.shuffle(held)
        some, held = held[:7], held[7:]
        # one trial in five fails whenever it is tried
        bad = [t for t in some if random.Random(f"{dice} {t.trial}").random() < 0.2]
        good = [outcome(t, draw.choice((0.2, 0.6, 0.95))) for t in some if t not in bad]
        complete(sessions, good, [Failure(t.trial, t.attempt, "e", "t") for t in bad])
        check_pairs(sessions, sweep)
    with sessions() as session:
        assert sweeps.show(session, sweep).state == "finished"
        found = pairing.counted_pairs(session, sweep)
        assert [(c.arm, c.against, c.first) for c in found] == [(2, 1, True), (0, 1, False)] * 2
        assert all(sum(c.counts.values()) == 16 for c in found)
        halves = ("a_won", "a_lost", "b_won", "b_lost", "missing")
        assert all(any(c.counts[name] for name in halves) for c in found)


def test_claims_of_many_threads_take_nothing_twice(engine: Engine) -> None:
    sessions = session_factory(engine)
    sweep = create(sessions, seeds=60, cohort=30)
    taken: list[Assignment] = []
    lock = threading.Lock()

    def work(name: str) -> None:
        while found := claim(sessions, sweep, 7, name):
            with lock:
                taken.extend(found)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len({t.trial for t in taken}) == 240
    check_counters(sessions, sweep)


@pytest.mark.parametrize("dice", range(3))
def test_whatever_happens_n_trials_end_once(sessions: Sessions, dice: int) -> None:
    """Random claims, completions, repetitions, failures, losses and a late cancel."""
    draw = random.Random(dice)
    sweep = create(sessions, seeds=8, cohort=3)
    held: list[Assignment] = []
    past: list[Outcome] = []
    for turn in range(400):
        action = draw.choice(
            ["claim", "claim", "suspects", "complete", "fail", "lose", "hand_back", "repeat"]
        )
        some = [held.pop(draw.randrange(len(held))) for _ in range(min(len(held), 3))]
        if action == "claim":
            held += some + claim(sessions, sweep, draw.randint(1, 9))
        elif action == "suspects":
            held += some + claim_suspects(sessions, sweep, 2)
        elif action == "complete":
            past += [outcome(t) for t in some]
            complete(sessions, past[-len(some) :] if some else [])
        elif action == "fail":
            complete(sessions, failures=[Failure(t.trial, t.attempt, "e", "t") for t in some])
        elif action in ("lose", "hand_back"):
            with sessions.begin() as session:
                pairs = [(t.trial, t.attempt) for t in some]
                (release.lose if action == "lose" else release.hand_back)(
                    session, pairs, now=moment()
                )
        else:
            held += some
            assert complete(sessions, past[-4:]).accepted == 0
        if dice == 2 and turn == 30:
            with sessions.begin() as session:
                sweeps.cancel(session, sweep, now=moment())
    with sessions.begin() as session:
        release.release_all(session, now=moment())
    while found := claim(sessions, sweep, 50) + claim_suspects(sessions, sweep, 50):
        complete(sessions, [outcome(t) for t in found])
    with sessions() as session:
        now = progress(session, sweep)
    assert now.ended == now.trials == 32
    assert now.state == ("cancelled" if dice == 2 else "finished")
    check_counters(sessions, sweep)


def test_a_reader_sees_one_moment(engine: Engine) -> None:
    """Successes and the trials that they are of are read one after the other."""
    sessions, sweep = session_factory(engine), create(session_factory(engine))
    taken = claim(sessions, sweep, 8)
    with reading_factory(engine)() as reader:
        before = progress(reader, sweep)
        complete(sessions, [outcome(t) for t in taken])
        assert progress(reader, sweep) == before
    with reading_factory(engine)() as reader:
        assert progress(reader, sweep).settled_cohorts == 1


def test_a_lease_has_one_holder_until_it_runs_out(sessions: Sessions) -> None:
    with sessions.begin() as session:
        assert lease.acquire(session, "d", "one", 10, moment(0))
        assert not lease.acquire(session, "d", "two", 10, moment(9))
        assert lease.acquire(session, "d", "one", 10, moment(9))
        assert not lease.acquire(session, "d", "two", 10, moment(15))
        assert lease.acquire(session, "d", "two", 10, moment(20))
        lease.drop(session, "d", "one")
        assert not lease.acquire(session, "d", "one", 10, moment(21))


@pytest.mark.parametrize("handed_back", [0, 3, 9])
def test_shares_are_claims_one_after_another(sessions: Sessions, handed_back: int) -> None:
    """What waits again comes first; then the cursor's trials, up to where it may go."""
    shares = [
        claims.Share("a", 5),
        claims.Share("b", 0),
        claims.Share("c", 4),
        claims.Share("d", 90),
    ]
    found = []
    for at_once in (True, False):
        sweep = create(sessions)
        back = claim(sessions, sweep, handed_back)
        complete(sessions, dropped=[(t.trial, t.attempt) for t in back])
        with sessions.begin() as session:
            if at_once:
                taken = claims.claim_shares(session, sweep, 0, shares, now=moment(1))
            else:
                taken = [
                    claims.claim(session, sweep, 0, n, worker=w, now=moment(1)) for w, n in shares
                ]
            by = {r.id: r.worker for r in session.execute(select(rows.c.id, rows.c.worker))}
        for share, tasks in zip(shares, taken, strict=True):
            assert {by[t.trial] for t in tasks} <= {share.worker}
        found.append([[(t.setting, t.seed, t.values, t.attempt) for t in tasks] for tasks in taken])
        check_counters(sessions, sweep)
    assert found[0] == found[1]
    assert [len(tasks) for tasks in found[0]][:3] == [5, 0, 4]

"""Replays: ended trials run again, alone, on another worker, and compared; the trial stays."""

from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.decide import Slot, replayed
from service.dispatch.loop import Dispatcher, Rules
from service.report.audit import audit_of
from service.report.build import build
from service.store import exclusion, release, replays, sweeps
from service.store.classes import class_id
from service.store.engine import session_factory
from service.store.errors import NotReplayableError, UnknownSweepError, UnknownTrialError
from service.store.tables import numerics_classes, outcomes, trials
from tests.service.dispatch import test_audit
from tests.service.dispatch.stand_ins import (
    RULES,
    Answering,
    FakeWorkers,
    end_lease,
    look,
    run,
    submit,
)
from tests.service.dispatch.test_audit import LANES, Flipping
from tests.service.samples import NUMERICS, moment, outcome, plan
from tests.service.store.test_conformance import check_counters
from workers.messages import Order, Return
from workers.pool import Reply

Sessions = sessionmaker[Session]
OWN = class_id(NUMERICS)


def finished(sessions: Sessions, size: int = 2) -> tuple[str, FakeWorkers, Dispatcher]:
    """A sweep at its end, its dispatcher still up."""
    sweep, workers = submit(sessions), FakeWorkers(size)
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    run(dispatcher)
    assert look(sessions, sweep).state == "finished"
    return sweep, workers, dispatcher


def ask(sessions: Sessions, trial: int) -> int:
    with sessions.begin() as session:
        return replays.ask(session, trial, {OWN}, moment())


def of(sessions: Sessions, sweep: str) -> list[dict[str, object]]:
    with sessions() as session:
        return replays.listed(session, sweep=sweep)


def test_a_replay_runs_alone_on_another_worker_and_is_equal(sessions: Sessions) -> None:
    """The findings, the counters and the trial do not know of it."""
    sweep, workers, dispatcher = finished(sessions)
    with sessions() as session:
        before = build(session, sweep)
    sent = len(workers.orders)
    ask(sessions, 5)
    run(dispatcher, 4)
    [found] = of(sessions, sweep)
    assert (found["state"], found["equal"], found["differs"]) == ("done", 1, None)
    assert found["worker"] != found["author"]
    [(_, order)] = workers.orders[sent:]
    assert [(a.trial, a.attempt) for a in order.add] == [(5, 1)]
    with sessions() as session:
        after = build(session, sweep)
    assert after.findings_hash == before.findings_hash
    assert after.run_log["audit"]["replays"] == {"compared": 1, "different": 0}
    assert "Of 1 replayed trials 1 came out the same to the bit." in str(after.run_log["audit"])
    check_counters(sessions, sweep)
    assert look(sessions, sweep).state == "finished"


@pytest.mark.parametrize(
    ("change", "differs"),
    [({"fingerprint": "another"}, "fingerprint"), ({"steps": 199}, "steps")],
)
def test_a_changed_outcome_is_reported_as_different(
    sessions: Sessions, change: dict[str, object], differs: str
) -> None:
    sweep, _, dispatcher = finished(sessions)
    with sessions.begin() as session:
        session.execute(update(outcomes).where(outcomes.c.trial == 5).values(**change))
    ask(sessions, 5)
    run(dispatcher, 4)
    [found] = of(sessions, sweep)
    assert (found["equal"], found["differs"]) == (0, differs)
    with sessions() as session:
        audit = audit_of(session, sweep)
    [flag] = [f for f in audit["flags"] if "different" in f]
    assert flag["level"] == " or ".join(sorted([str(found["author"]), str(found["worker"])]))
    assert "one of them is at fault" in flag["says"]


def test_a_replay_waits_while_there_are_trials_to_train(sessions: Sessions) -> None:
    sweep, workers, dispatcher = finished(sessions, size=1)
    other = submit(sessions)
    ask(sessions, 5)
    sent = len(workers.orders)
    run(dispatcher)
    order_of = [a.trial for _, order in workers.orders[sent:] for a in order.add]
    assert look(sessions, other).state == "finished"
    assert order_of[-1] == 5
    assert [r["state"] for r in of(sessions, sweep)] == ["done"]


def test_the_only_worker_replays_its_own_trials() -> None:
    """But not while another is of its class, and never one of another class."""
    asked = [replays.Waiting(1, plan().structures[0].pack, "a", "host:1")]
    own = Slot("one", True, 0, None, {"deep_mlp": "a"}, place="host:1")
    busy = Slot("two", False, 3, None, {"deep_mlp": "a"}, place="host:2")
    alien = Slot("three", True, 0, None, {"deep_mlp": "b"}, place="host:3")
    assert replayed([own, alien], asked) == [("one", asked[0])]
    assert replayed([own, busy, alien], asked) == []
    assert replayed([own, Slot(**vars(busy) | {"idle": True, "held": 0})], asked) == [
        ("two", asked[0])
    ]


def test_replays_of_a_class_without_workers_hold_up_no_others(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "_OFFERED", 2)
    sweep, _, dispatcher = finished(sessions)
    for trial in (5, 6, 7):
        ask(sessions, trial)
    with sessions.begin() as session:
        gone = update(outcomes).where(outcomes.c.trial.in_((5, 6))).values(class_id="gone")
        session.execute(insert(numerics_classes).values(id="gone", content={}))
        session.execute(gone)
    run(dispatcher, 4)
    assert [r["state"] for r in of(sessions, sweep)] == ["waiting", "waiting", "done"]


def test_who_was_excluded_replays_nothing_of_the_sweep_also_where_there_is_no_other() -> None:
    pack = plan().structures[0].pack
    out = replays.Waiting(1, pack, "a", "host:2", frozenset(["host:1"]))
    free = replays.Waiting(2, pack, "a", "host:2")
    bad = Slot("one", True, 0, None, {"deep_mlp": "a"}, place="host:1")
    own = Slot("two", True, 0, None, {"deep_mlp": "a"}, place="host:2")
    assert replayed([bad], [out]) == []
    assert replayed([bad, own], [out]) == [("two", out)]
    assert replayed([bad], [out, free]) == [("one", free)]


def test_replays_of_what_is_excluded_have_failed_and_others_go_to_others(
    sessions: Sessions,
) -> None:
    sweep, _, _ = finished(sessions)
    first = select(trials.c.worker, func.min(trials.c.id)).group_by(trials.c.worker)
    with sessions() as session:
        (good, one), (bad, other) = session.execute(first.order_by(trials.c.worker)).all()
    ask(sessions, one)
    ask(sessions, other)
    with sessions.begin() as session:
        exclusion.exclude(session, sweep, str(bad), "flips", now=moment())
        offered = replays.waiting(session, {("deep_mlp", OWN)})
    assert [(r["trial"], r["state"], r["error"]) for r in of(sessions, sweep)] == [
        (one, "waiting", None),
        (other, "failed", "the outcome was excluded"),
    ]
    assert [(r.author, r.excluded) for r in offered] == [(good, frozenset([bad]))]


def test_a_sweep_that_is_deleted_as_its_replay_begins_stops_no_turn(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, _, dispatcher = finished(sessions)
    ask(sessions, 5)
    plain = replays.waiting

    def meanwhile(session: Session, *given: Any) -> list[replays.Waiting]:
        found = plain(session, *given)
        if found:
            sweeps.remove(session, sweep)
        return found

    monkeypatch.setattr(replays, "waiting", meanwhile)
    run(dispatcher, 2)
    with pytest.raises(UnknownSweepError):
        look(sessions, sweep)
    other = submit(sessions)
    run(dispatcher)
    assert look(sessions, other).state == "finished"


def test_asking_twice_gives_the_same_replay_until_it_is_over(sessions: Sessions) -> None:
    sweep, _, dispatcher = finished(sessions)
    assert ask(sessions, 5) == ask(sessions, 5)
    run(dispatcher, 4)
    ask(sessions, 5)
    assert [r["state"] for r in of(sessions, sweep)] == ["done", "waiting"]


def test_what_cannot_be_compared_is_refused_with_the_cure(sessions: Sessions) -> None:
    sweep = submit(sessions)
    dispatcher = Dispatcher(sessions, FakeWorkers(), RULES, "me")
    run(dispatcher, 1)
    with pytest.raises(NotReplayableError, match=r"running.*seedbed show"):
        ask(sessions, 1)
    with pytest.raises(NotReplayableError, match="no settled outcome"), sessions.begin() as session:
        replays.ask_sample(session, sweep, 0.5, None, moment())
    with pytest.raises(UnknownTrialError):
        ask(sessions, 10**9)
    run(dispatcher)
    cure = f"in numerics class {OWN}, of which no worker is .*start the service with the code"
    for classes in ({"other"}, ()):
        with pytest.raises(NotReplayableError, match=cure), sessions.begin() as session:
            replays.ask(session, 1, classes, moment())
        with pytest.raises(NotReplayableError, match=cure), sessions.begin() as session:
            replays.ask_sample(session, sweep, 0.5, classes, moment())


def test_a_sample_is_drawn_from_the_root_and_is_never_empty(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, _, dispatcher = finished(sessions)
    drawn = []
    for share in (0.001, 0.25, 0.25, 1.0):
        with sessions.begin() as session:
            made = replays.ask_sample(session, sweep, share, {OWN}, moment())
            drawn.append([r["trial"] for r in replays.listed(session) if r["id"] in made])
        run(dispatcher, 40)
    assert [len(d) for d in drawn] == [1, 6, 6, 24]
    assert drawn[1] == drawn[2]
    assert set(drawn[0]) < set(drawn[1])
    monkeypatch.setattr(replays, "MOST_ASKED", 3)
    with pytest.raises(NotReplayableError, match="at most 3"), sessions.begin() as session:
        replays.ask_sample(session, sweep, 0.25, {OWN}, moment())


def test_a_replay_whose_worker_dies_runs_again_and_fails_after_three(sessions: Sessions) -> None:
    """No loss is counted against the trial."""
    sweep, workers, dispatcher = finished(sessions)
    ask(sessions, 5)
    workers.kill_next = 2
    run(dispatcher, 30)
    assert [(r["state"], r["losses"]) for r in of(sessions, sweep)] == [("done", 2)]
    ask(sessions, 5)
    workers.kill_next = 3
    run(dispatcher, 30)
    assert [r["state"] for r in of(sessions, sweep)] == ["done", "failed"]
    with sessions() as session:
        assert session.scalar(select(trials.c.losses).where(trials.c.id == 5)) == 0
    check_counters(sessions, sweep)


def test_a_replay_that_raises_has_failed_and_the_trial_has_not(sessions: Sessions) -> None:
    sweep, workers, dispatcher = finished(sessions)
    ask(sessions, 5)
    workers.fail_next = 1
    run(dispatcher, 4)
    [found] = of(sessions, sweep)
    assert (found["state"], found["error"], found["equal"]) == ("failed", "Boom", None)
    assert look(sessions, sweep).ended == 24


def test_another_dispatcher_takes_over_what_was_being_replayed(sessions: Sessions) -> None:
    sweep, _, dispatcher = finished(sessions)
    ask(sessions, 5)
    dispatcher.tick(0.0)
    assert [r["state"] for r in of(sessions, sweep)] == ["running"]
    end_lease(sessions)
    run(Dispatcher(sessions, FakeWorkers(), RULES, "other"), 8)
    assert [r["state"] for r in of(sessions, sweep)] == ["done"]


def test_a_replay_goes_on_over_many_answers_and_ends_with_its_sweep(sessions: Sessions) -> None:
    """A slice may end before the trial does; nothing is added to its worker meanwhile."""
    slow = False

    def answer(worker: str, order: Order) -> Reply:
        if slow and not order.cancel:
            return Reply(worker, value=Return(held=((5, 1),), steps=(100,)))
        done = tuple(outcome(a) for a in order.add)
        return Reply(worker, value=Return(outcomes=done, dropped=order.cancel))

    sweep, workers = submit(sessions), Answering(answer)
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    run(dispatcher)
    slow = True
    ask(sessions, 5)
    run(dispatcher, 5)
    later = submit(sessions)
    run(dispatcher, 5)
    assert look(sessions, later).running == 0
    with sessions.begin() as session:
        assert release.release_all(session, now=moment(), keep={(5, 1)}) == 0
        sweeps.remove(session, sweep)
    run(dispatcher, 1)
    assert workers.orders[-1][1].cancel == ((5, 1),)
    slow = False
    run(dispatcher)
    assert look(sessions, later).state == "finished"


@pytest.mark.usefixtures("one_hour")
def test_a_worker_that_flips_a_fifth_is_named_at_a_rate_that_hides_it(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one half a flip changes no rate; a twelfth of 2,400 trials run again names it alone."""
    monkeypatch.setattr(test_audit, "RATE", 0.5)
    sweep = submit(sessions, seeds=600, cohort=100)
    dispatcher = Dispatcher(sessions, Flipping(0.2), Rules(LANES, 1.0, 2), "me")
    while look(sessions, sweep).state != "finished":
        dispatcher.tick(0.0)
    with sessions.begin() as session:
        assert audit_of(session, sweep)["flags"] == []
        replays.ask_sample(session, sweep, 0.08, {OWN}, moment())
    while sum(r["state"] != "done" for r in all_of(sessions, sweep)):
        dispatcher.tick(0.0)
    with sessions() as session:
        [flag] = audit_of(session, sweep)["flags"]
    assert flag["level"] == "worker-1"
    assert flag["different"] >= 3


def all_of(sessions: Sessions, sweep: str) -> list[dict[str, object]]:
    with sessions() as session:
        return replays.listed(session, sweep=sweep, limit=1000)


@pytest.fixture
def sessions(sqlite: Engine) -> Sessions:
    return session_factory(sqlite)

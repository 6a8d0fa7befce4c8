"""What nobody needs any more leaves storage; what somebody may need stays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from service.dispatch.janitor import Janitor
from service.dispatch.loop import Dispatcher
from service.store import claims, classes, completion, sweeps
from tests.service.dispatch.stand_ins import RULES, Answering, run, submit
from tests.service.samples import NUMERICS, moment, outcome
from workers.messages import Assignment, Failure, Order, Return, StorageRule
from workers.pool import Reply
from workers.storage import Storage, StorageError, checkpoint_name, weights_name


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """An empty folder."""
    found = Storage(str(tmp_path / "storage"))
    found.prepare()
    return found


def there(storage: Storage, sweep: str) -> set[str]:
    """What lies there of a sweep."""
    kinds = ("checkpoints", "weights")
    return {f"{k}/{sweep}/{f.name}" for k in kinds for f in storage.files(f"{k}/{sweep}")}


def claim(sessions: sessionmaker[Session], sweep: str, count: int) -> list[Assignment]:
    with sessions.begin() as session:
        classes.pin(session, sweep, NUMERICS)
        return claims.claim(session, sweep, 0, count, worker="w", now=moment())


def record(
    sessions: sessionmaker[Session], *, ended: Sequence[Assignment] = (), **other: Any
) -> None:
    with sessions.begin() as session:
        completion.complete(
            session,
            outcomes=[outcome(a) for a in ended],
            numerics_id=classes.class_id(NUMERICS),
            max_attempts=2,
            now=moment(),
            **({"failures": (), "dropped": ()} | other),
        )


def test_leftovers_go_and_what_is_needed_stays(
    sessions: sessionmaker[Session], storage: Storage
) -> None:
    """Ended, errored and unknown trials' checkpoints go; those of trials that run or wait stay."""
    sweep = submit(sessions)
    ended, errored, waiting, running = claim(sessions, sweep, 4)
    record(
        sessions,
        ended=[ended],
        failures=[Failure(errored.trial, 1, "Boom", "")],
        dropped=[(waiting.trial, 1)],
    )
    [again] = [a for a in claim(sessions, sweep, 2) if a.trial == errored.trial]
    record(sessions, failures=[Failure(errored.trial, again.attempt, "Boom", "")])
    kept = {checkpoint_name(sweep, a.trial) for a in (waiting, running)}
    kept.add(weights_name(sweep, running.trial, running.attempt))
    stale = {checkpoint_name(sweep, t) for t in (ended.trial, errored.trial, 10**9)}
    stale.add(checkpoint_name(sweep, ended.trial) + ".0f.partial")
    stale.add(weights_name(sweep, ended.trial, 7))
    others = {f"checkpoints/{sweep}/notes.txt"}
    for name in kept | stale | others:
        storage.write(name, b"1")
    storage.write("checkpoints/another-stores/5.safetensors", b"1")
    storage.write("weights/another-stores/5-1.safetensors", b"1")
    janitor = Janitor(sessions, storage)
    for _ in range(3):
        janitor.turn()
    assert there(storage, sweep) == kept | others
    assert len(there(storage, "another-stores")) == 2


def test_all_files_of_a_deleted_sweep_go_also_when_storage_was_away(
    sessions: sessionmaker[Session], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion does not wait for storage, and is not forgotten either."""
    sweep, other = submit(sessions), submit(sessions)
    tasks = claim(sessions, sweep, 2)
    for name in (checkpoint_name(sweep, 1), weights_name(sweep, 1, 1), checkpoint_name(other, 1)):
        storage.write(name, b"1")
    with sessions.begin() as session:
        sweeps.cancel(session, sweep, now=moment())
    record(sessions, dropped=[(a.trial, a.attempt) for a in tasks])
    with sessions.begin() as session:
        sweeps.remove(session, sweep)
    janitor = Janitor(sessions, storage)

    def away(*_: Any) -> None:
        raise StorageError("away")

    with monkeypatch.context() as gone:
        gone.setattr(Storage, "remove", away)
        janitor.turn()
    assert len(there(storage, sweep)) == 2
    for _ in range(2):
        janitor.turn()
    assert there(storage, sweep) == set()
    assert sweep not in storage.folders("checkpoints") + storage.folders("weights")


def test_a_checkpoint_is_discarded_once_its_outcome_is_committed_and_not_before(
    sessions: sessionmaker[Session],
) -> None:
    """A refused write's checkpoint is another attempt's now, and stays."""
    discarded: list[str] = []

    def answer(worker: str, order: Order) -> Reply | None:
        if not order.add:
            return None
        mine, late = order.add[0], order.add[1:]
        assert order.storage == StorageRule("/x", 5.0)
        assert [a.files.sweep for a in order.add if a.files] == [sweep] * len(order.add)
        outcomes = [outcome(mine)] + [outcome(a, attempt=a.attempt + 7) for a in late]
        return Reply(
            worker,
            value=Return(
                tuple(outcomes), checkpointed=tuple(o.trial for o in outcomes), storage=("full",)
            ),
        )

    rules = type(RULES)(**vars(RULES) | {"storage": StorageRule("/x", 5.0)})
    sweep = submit(sessions, seeds=2)
    workers = Answering(answer)
    dispatcher = Dispatcher(sessions, workers, rules, "me", discarded.extend)
    while not workers.orders:
        run(dispatcher, 1)
    [(_, first)] = workers.orders
    assert discarded == []
    run(dispatcher, 1)
    assert discarded == [checkpoint_name(sweep, first.add[0].trial)]
    assert dispatcher.announcement().storage == "full"


def test_a_file_that_it_cannot_judge_does_not_end_the_clearing(
    sessions: sessionmaker[Session], storage: Storage
) -> None:
    """No trial has this number, which no database holds; other folders are cleared all the same."""
    sweep = submit(sessions)
    storage.write(checkpoint_name(sweep, 10**30), b"x")
    storage.write(weights_name(sweep, 10**6, 1), b"x")
    with capture_logs() as logged:
        Janitor(sessions, storage).turn()
    assert there(storage, sweep) == {checkpoint_name(sweep, 10**30)}
    assert "storage_not_cleared" in [line["event"] for line in logged]

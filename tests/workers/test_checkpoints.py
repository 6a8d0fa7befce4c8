"""Lanes are checkpointed while they train; a trial that is tried again goes on from there."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.laws import PARTS, Case, assignments, run
from tests.workers.patience import SURELY_S, Patience
from tests.workers.test_pack_laws import deep_mlp
from workers import checkpoints, trainer
from workers import storage as places
from workers.messages import Assignment, Files, Order, Outcome, Return, StorageRule
from workers.storage import Storage, checkpoint_name
from workers.trainer import Trainer
from workers.writer import Writer

Patch = pytest.MonkeyPatch
SEGMENTS = 12
SMALL = deep_mlp("stored")
CASE: Case = replace(SMALL, spec=replace(SMALL.spec, steps=SEGMENTS * SMALL.spec.segment))
SWEEP = "01SWEEP"
EVERY = 1e-9


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: Patch) -> Iterator[None]:
    """No thread of a test's writers writes into the next test, whose storage may be another."""
    writers: list[Writer] = []
    made = Writer.__init__

    def noted(self: Writer, *given: Any) -> None:
        made(self, *given)
        writers.append(self)

    monkeypatch.setattr(Writer, "__init__", noted)
    yield
    for writer in writers:
        writer.wait(SURELY_S)


def rule(folder: Path, every_s: float = EVERY) -> StorageRule:
    return StorageRule(str(folder), every_s)


def tasks(count: int, attempt: int = 1, **files: Any) -> tuple[Assignment, ...]:
    """Trials as a claim gives them."""
    files = {"resume": attempt > 1} | files
    found = assignments(CASE, count)
    return tuple(replace(a, attempt=attempt, files=Files(SWEEP, **files)) for a in found)


def order(*add: Assignment, storage: StorageRule | None, **other: Any) -> Order:
    """One segment a call."""
    return Order(CASE.spec, add, lanes=8, storage=storage, **({"slice_s": 1e-9} | other))


def stop_halfway(folder: Path, count: int = 3, calls: int = 6) -> Trainer:
    """A worker that trained these trials for some segments, and what it had to write is written."""
    worker = Trainer()
    worker.advance(order(*tasks(count), storage=rule(folder)))
    for _ in range(calls - 1):
        written(worker)
        worker.advance(order(storage=rule(folder)))
    written(worker)
    return worker


def written(worker: Trainer) -> None:
    assert worker._writer is not None
    assert worker._writer.wait(SURELY_S)


def finish(
    worker: Trainer, *add: Assignment, storage: StorageRule | None
) -> tuple[dict[int, Outcome], Return]:
    """All outcomes, and the first answer."""
    first = worker.advance(order(*add, storage=storage, slice_s=60.0))
    outcomes = list(first.outcomes)
    answer = first
    while answer.held:
        answer = worker.advance(order(storage=storage, slice_s=60.0))
        outcomes += answer.outcomes
    return {o.trial: o for o in outcomes}, first


def check(outcomes: dict[int, Outcome], count: int) -> None:
    """They are what the undisturbed trials come to, bit for bit."""
    expected = run(CASE.spec, assignments(CASE, count), count)
    assert outcomes.keys() == expected.keys()
    for trial, one in expected.items():
        assert all(getattr(one, part) == getattr(outcomes[trial], part) for part in PARTS)


def files(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


def test_a_second_attempt_goes_on_from_the_first_ones_checkpoint(tmp_path: Path) -> None:
    stop_halfway(tmp_path)
    outcomes, first = finish(Trainer(), *tasks(3, attempt=2), storage=rule(tmp_path))
    check(outcomes, 3)
    assert {(r.trial, r.attempt, r.why) for r in first.resumptions} == {
        (i, 2, None) for i in range(3)
    }
    assert min(r.step for r in first.resumptions) >= 5 * CASE.spec.segment
    assert first.lane_steps < 3 * CASE.spec.steps
    assert sorted(first.checkpointed) == [0, 1, 2]
    assert all(o.attempt == 2 for o in outcomes.values())


def test_a_parked_worker_is_empty_and_its_trials_go_on_elsewhere(tmp_path: Path) -> None:
    """Also where nothing is checkpointed at other times; what had not begun starts there."""
    only_parked = rule(tmp_path, 0.0)
    worker = Trainer()
    three, waiting = tasks(3), tasks(5)[3:]
    for add in ((*three, *waiting), (), ()):
        answer = worker.advance(replace(order(*add, storage=only_parked), lanes=3))
    assert files(tmp_path) == []
    assert len(answer.held) == 5
    parked = worker.advance(order(storage=only_parked, park=True))
    assert sorted(parked.dropped) == [(i, 1) for i in range(5)]
    assert (parked.held, parked.outcomes, parked.storage) == ((), (), ())
    assert files(tmp_path) == [checkpoint_name(SWEEP, i) for i in range(3)]
    outcomes, first = finish(Trainer(), *tasks(5, attempt=2), storage=only_parked)
    check(outcomes, 5)
    assert {(r.trial, r.step) for r in first.resumptions} == {
        (i, 3 * CASE.spec.segment) for i in range(3)
    }


def test_a_first_attempt_and_a_replay_read_no_checkpoint(tmp_path: Path) -> None:
    """A replay is the trial with the recorded attempt, and nothing of it may be stored or read."""
    stop_halfway(tmp_path)
    before = {f: (tmp_path / f).stat().st_mtime_ns for f in files(tmp_path)}
    replayed = tuple(replace(a, files=None) for a in tasks(3, attempt=2))
    outcomes, first = finish(Trainer(), *replayed, storage=rule(tmp_path))
    check(outcomes, 3)
    assert (first.resumptions, first.checkpointed) == ((), ())
    assert {f: (tmp_path / f).stat().st_mtime_ns for f in files(tmp_path)} == before
    _, first = finish(Trainer(), *tasks(3), storage=rule(tmp_path))
    assert first.resumptions == ()


def test_trials_that_end_soon_write_nothing(tmp_path: Path) -> None:
    outcomes, first = finish(Trainer(), *tasks(3), storage=rule(tmp_path, 300.0))
    check(outcomes, 3)
    assert files(tmp_path) == []
    assert first.checkpointed == ()


def damage(data: bytes) -> bytes:
    return data[:-40] + bytes(4) + data[-36:]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[: len(data) // 2], "cannot be read"),
        (lambda data: data[:6], "cut short"),
        (damage, "checksum"),
        (lambda data: data.replace(b"seedbed-lane/1", b"seedbed-lane/9"), "this version reads"),
        (lambda data: data + bytes(10**6), "larger than"),
        (lambda data: b"\x80\x04\x95pickle", "cut short"),
    ],
    ids=["half", "six bytes", "damaged", "later format", "too large", "pickle"],
)
def test_a_checkpoint_that_is_no_good_is_said_and_the_trial_starts_anew(
    tmp_path: Path, change: Callable[[bytes], bytes], why: str
) -> None:
    stop_halfway(tmp_path)
    bad = tmp_path / checkpoint_name(SWEEP, 1)
    bad.write_bytes(change(bad.read_bytes()))
    outcomes, first = finish(Trainer(), *tasks(3, attempt=2), storage=rule(tmp_path))
    check(outcomes, 3)
    by_trial = {r.trial: r for r in first.resumptions}
    assert by_trial[1].step == 0
    assert why in str(by_trial[1].why)
    assert by_trial[0].step > 0


def test_a_checkpoint_of_another_class_is_said_and_the_trial_starts_anew(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """Nothing but the numerics class differs."""
    stop_halfway(tmp_path)
    sound = trainer.numerics.numerics
    monkeypatch.setattr(trainer.numerics, "numerics", lambda d: sound(d) | {"torch": "1.0"})
    outcomes, first = finish(Trainer(), *tasks(3, attempt=2), storage=rule(tmp_path))
    check(outcomes, 3)
    assert len(first.resumptions) == 3
    assert all(r.step == 0 and "numerics class" in str(r.why) for r in first.resumptions)


def test_what_an_excluded_worker_trained_is_not_gone_on_from(tmp_path: Path) -> None:
    """Neither by the next attempt nor by one after it: the file names everyone who had a part."""
    stop_halfway(tmp_path, calls=3)
    second = Trainer()
    second.advance(order(*tasks(3, attempt=2), storage=rule(tmp_path)))
    written(second)
    out = (trainer.numerics.node(),)
    again = tasks(3, attempt=3, distrusted=out)
    outcomes, first = finish(Trainer(), *again, storage=rule(tmp_path))
    check(outcomes, 3)
    assert all(r.step == 0 and "was excluded" in str(r.why) for r in first.resumptions)


def test_a_zombies_late_checkpoint_is_harmless(tmp_path: Path) -> None:
    """Attempt 1 still trains while attempt 2 does; whichever file attempt 3 finds will do."""
    zombie = stop_halfway(tmp_path, calls=2)
    second = Trainer()
    second.advance(order(*tasks(3, attempt=2), storage=rule(tmp_path)))
    for _ in range(3):
        second.advance(order(storage=rule(tmp_path)))
        written(second)
    zombie.advance(order(storage=rule(tmp_path)))
    written(zombie)
    outcomes, first = finish(Trainer(), *tasks(3, attempt=3), storage=rule(tmp_path))
    check(outcomes, 3)
    assert {r.step for r in first.resumptions} == {3 * CASE.spec.segment}
    check(finish(second, storage=rule(tmp_path))[0], 3)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("a file system of its own can be mounted by root only")
    import subprocess  # noqa: PLC0415 - only where there is root

    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no file system could be mounted: {made.stderr}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_training_goes_on_while_storage_is_full(tiny_disk: Path) -> None:
    """No outcome is lost, the trouble is told in the system's words, and no half file stays."""
    worker = Trainer()
    told: set[str] = set()
    add = tasks(6)
    outcomes: dict[int, Outcome] = {}
    while True:
        answer = worker.advance(order(*add, storage=rule(tiny_disk)))
        written(worker)
        told |= set(answer.storage)
        outcomes |= {o.trial: o for o in answer.outcomes}
        add = ()
        if not answer.held:
            break
    check(outcomes, 6)
    assert any(os.strerror(errno.ENOSPC) in text for text in told), told
    assert not [f for f in files(tiny_disk) if f.endswith(".partial")]


def test_storage_that_goes_away_and_comes_back_is_used_again(tmp_path: Path) -> None:
    folder, away = tmp_path / "storage", tmp_path / "away"
    folder.mkdir()
    worker = stop_halfway(folder, count=2, calls=2)
    folder.rename(away)
    worker.advance(order(storage=rule(folder)))
    written(worker)
    answer = worker.advance(order(storage=rule(folder)))
    assert "not on this machine" in " ".join(answer.storage)
    assert not folder.exists()
    written(worker)
    away.rename(folder)
    before = (folder / checkpoint_name(SWEEP, 0)).read_bytes()
    worker.advance(order(storage=rule(folder)))
    written(worker)
    assert (folder / checkpoint_name(SWEEP, 0)).read_bytes() != before
    worker.advance(order(storage=rule(folder)))
    assert worker.advance(order(storage=rule(folder))).storage == ()


def test_a_second_attempt_starts_anew_while_storage_is_away(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """A checkpoint may be there, so it is said why it was not used."""
    stop_halfway(tmp_path)

    def refuse(*_: Any) -> bytes:
        raise places.StorageError("s3 storage is away")

    monkeypatch.setattr(Storage, "read", refuse)
    outcomes, first = finish(Trainer(), *tasks(3, attempt=2), storage=rule(tmp_path))
    check(outcomes, 3)
    assert all("storage is away" in str(r.why) for r in first.resumptions)


def test_checkpoints_that_come_slowly_are_waited_for(tmp_path: Path, monkeypatch: Patch) -> None:
    """All of them take longer than the patience with one."""
    stop_halfway(tmp_path, count=8, calls=2)
    patience, read = Patience(monkeypatch, each_s=0.3 * checkpoints.READ_S), Storage.read

    def slowly(self: Storage, name: str, most: int) -> bytes:
        patience.turn()
        return read(self, name, most)

    monkeypatch.setattr(Storage, "read", slowly)
    answer = Trainer().advance(order(*tasks(8, attempt=2), storage=rule(tmp_path)))
    assert patience.now > 2 * checkpoints.READ_S
    assert [(r.step > 0, r.why) for r in answer.resumptions] == [(True, None)] * 8


def test_checkpoints_that_do_not_come_are_given_up(tmp_path: Path, monkeypatch: Patch) -> None:
    """Also where some are refused meanwhile: a refusal is no sign that others will come."""
    stop_halfway(tmp_path, count=4, calls=2)
    patience = Patience(monkeypatch, hung=1)
    hung, read = threading.Event(), Storage.read

    def hang(self: Storage, name: str, most: int) -> bytes:
        if name.endswith("/1.safetensors"):
            raise places.StorageError("s3 storage is away")
        if name.endswith("/2.safetensors"):
            hung.wait()
        return read(self, name, most)

    monkeypatch.setattr(Storage, "read", hang)
    answer = Trainer().advance(order(*tasks(4, attempt=2), storage=rule(tmp_path)))
    hung.set()
    assert patience.now == checkpoints.READ_S
    why = {r.trial: str(r.why) for r in answer.resumptions if not r.step}
    assert why.keys() == {1, 2}
    assert "storage is away" in why[1]
    assert "did not answer" in why[2]


def test_training_waits_for_no_write_and_none_piles_up(tmp_path: Path, monkeypatch: Patch) -> None:
    """Storage that hangs for ever takes a few copies, and then no more."""
    hung, hangs = threading.Event(), threading.Event()
    begun: list[str] = []

    def hang(self: Storage, name: str, data: bytes) -> None:
        begun.append(name)
        hangs.set()
        hung.wait()

    held_up: list[float | None] = []
    wait_for = threading.Condition.wait_for

    def noted(
        self: threading.Condition, true: Callable[[], bool], limit_s: float | None = None
    ) -> bool:
        """Whatever waits for the writer comes by here."""
        held_up.append(limit_s)
        return wait_for(self, true, limit_s)

    monkeypatch.setattr(threading.Condition, "wait_for", noted)
    monkeypatch.setattr(Storage, "write", hang)
    worker = Trainer()
    outcomes: dict[int, Outcome] = {}
    answer = worker.advance(order(*tasks(20), storage=rule(tmp_path)))
    while answer.held:
        outcomes |= {o.trial: o for o in answer.outcomes}
        assert worker._writer is not None
        assert len(worker._writer._pending) <= 8
        answer = worker.advance(order(storage=rule(tmp_path)))
    outcomes |= {o.trial: o for o in answer.outcomes}
    check(outcomes, 20)
    assert set(held_up) == {0.0}
    assert hangs.wait(SURELY_S)
    assert len(begun) <= 4
    assert worker._writer is not None
    assert "no other can follow it" in worker._writer.troubles(patience_s=0.0)[0]
    worker.advance(order(*tasks(2, attempt=3), storage=rule(tmp_path)))
    parked = worker.advance(order(storage=rule(tmp_path), park=True, park_s=0.2))
    assert len(parked.dropped) == 2
    assert all(limit_s is not None and limit_s <= 0.2 for limit_s in held_up)
    hung.set()


def test_a_lane_whose_write_hangs_holds_up_no_other(tmp_path: Path, monkeypatch: Patch) -> None:
    """The others are written again and again; the first lane's file is begun once."""
    hung = threading.Event()
    begun: list[str] = []
    write = Storage.write

    def hang(self: Storage, name: str, data: bytes) -> None:
        begun.append(name)
        if name == checkpoint_name(SWEEP, 0):
            hung.wait()
        write(self, name, data)

    monkeypatch.setattr(Storage, "write", hang)
    monkeypatch.setattr(checkpoints, "_AGAIN_S", 0.0)
    worker = Trainer()
    worker.advance(order(*tasks(3), storage=rule(tmp_path)))
    others = [checkpoint_name(SWEEP, 1), checkpoint_name(SWEEP, 2)]
    for turn in range(5):
        deadline = time.monotonic() + SURELY_S
        assert worker._writer is not None
        while worker._writer._pending.keys() & set(others) and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert [begun.count(name) for name in others] == [turn] * 2
        worker.advance(order(storage=rule(tmp_path)))
    assert begun.count(checkpoint_name(SWEEP, 0)) == 1
    hung.set()


def test_storage_that_cannot_be_opened_is_said_and_training_goes_on() -> None:
    outcomes, first = finish(Trainer(), *tasks(2), storage=StorageRule("s3://bucket/x", 1.0))
    check(outcomes, 2)
    assert "s3 storage could not be opened" in first.storage[0]

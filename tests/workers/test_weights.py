"""Final weights are kept as the spec says, whole or not at all, and can be measured again."""

import ast
import hashlib
import json
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from safetensors.torch import load_file

from tests.laws import assignments
from tests.workers.patience import SURELY_S, Patience
from tests.workers.test_checkpoints import CASE, SWEEP, finish, rule
from tests.workers.test_pack_laws import deep_mlp
from workers import weights
from workers.lane import fingerprint
from workers.messages import Assignment, Failure, Files, Keep, Order, Outcome, Rule
from workers.storage import Storage, StorageError
from workers.trainer import Trainer
from workers.weights import NoWeightsError, read

Patch = pytest.MonkeyPatch
ABOUT = {"arm": "noisy", "setting": "{}"}
DOCS = Path(__file__).parents[2] / "docs" / "weights.md"


def tasks(count: int, rules: tuple[Rule, ...] | None = None, **other: Any) -> list[Assignment]:
    """Trials whose weights are kept."""
    files = Files(SWEEP, keep=Keep(rules, ABOUT))
    return [replace(a, files=files, **other) for a in assignments(CASE, count)]


def final(outcome: Outcome, metric: str) -> float:
    found = outcome.metrics[metric].final
    assert found is not None
    return found


def test_kept_weights_are_those_of_the_outcome_and_say_what_they_are(tmp_path: Path) -> None:
    outcomes, _ = finish(Trainer(), *tasks(3), storage=rule(tmp_path, 300.0))
    for outcome in outcomes.values():
        assert outcome.weights is not None
        file = tmp_path / outcome.weights.path
        data = file.read_bytes()
        assert outcome.weights.path == f"weights/{SWEEP}/{outcome.trial}-1.safetensors"
        assert len(data) == outcome.weights.bytes
        assert hashlib.sha256(data).hexdigest() == outcome.weights.sha256
        assert fingerprint(load_file(file)) == outcome.fingerprint
        about = read(file).about
        assert {k: about[k] for k in ABOUT} == ABOUT
        assert (about["sweep"], int(about["step"])) == (SWEEP, CASE.spec.steps)
        assert json.loads(about["shared"]) == dict(CASE.spec.shared)


def test_the_documented_lines_measure_what_was_recorded(
    tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The snippet of docs/weights.md, run as it stands."""
    outcomes, _ = finish(Trainer(), *tasks(2), storage=rule(tmp_path, 300.0))
    outcome = outcomes[1]
    assert outcome.weights is not None
    (tmp_path / outcome.weights.path).rename(tmp_path / "trial-1.safetensors")
    [lines] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len([line for line in lines.splitlines() if line]) == 3
    monkeypatch.chdir(tmp_path)
    exec(compile(lines, "docs/weights.md", "exec"), {})  # noqa: S102 - our own page
    said = ast.literal_eval(capsys.readouterr().out)
    assert said
    assert said == {name: final(outcome, name) for name in said}
    dear = read("trial-1.safetensors").evaluate("expensive")
    assert dear == {name: final(outcome, name) for name in dear}


def test_weights_that_were_changed_or_are_none_are_refused(tmp_path: Path) -> None:
    outcomes, _ = finish(Trainer(), *tasks(1), storage=rule(tmp_path, 300.0))
    assert outcomes[0].weights is not None
    file = tmp_path / outcomes[0].weights.path
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(NoWeightsError, match="fingerprint"):
        read(file)
    file.write_bytes(b"\x80\x04\x95")
    with pytest.raises(NoWeightsError, match="no safetensors file"):
        read(file)


def test_successes_are_kept_by_any_rule_and_others_are_not(tmp_path: Path) -> None:
    """One rule at the end, one at any evaluation; each alone keeps some."""
    plain, _ = finish(Trainer(), *assignments(CASE, 9), storage=None)
    ends = sorted(final(o, "test_accuracy") for o in plain.values())
    lows = sorted(o.metrics["test_loss"].best or 0.0 for o in plain.values())
    rules = (
        Rule("test_accuracy", "at_least", ends[-2], "end"),
        Rule("test_loss", "at_most", lows[1], "any"),
    )
    expected = {
        trial
        for trial, o in plain.items()
        if final(o, "test_accuracy") >= ends[-2] or (o.metrics["test_loss"].best or 1e9) <= lows[1]
    }
    assert 0 < len(expected) < 9
    kept, _ = finish(Trainer(), *tasks(9, rules), storage=rule(tmp_path, 300.0))
    assert {trial for trial, o in kept.items() if o.weights is not None} == expected
    assert len(list((tmp_path / "weights" / SWEEP).iterdir())) == len(expected)
    assert {t: replace(o, weights=None, pack=None, lane=None) for t, o in kept.items()} == {
        t: replace(o, pack=None, lane=None) for t, o in plain.items()
    }


def failed(worker: Trainer, storage: Any) -> tuple[Failure, ...]:
    answer = worker.advance(Order(CASE.spec, tuple(tasks(2)), slice_s=60.0, storage=storage))
    assert answer.outcomes == ()
    return answer.failures


class Pauses:
    """Stands for `time` and `threading` in `workers.weights`: only pauses take time."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def Event(self) -> Self:  # noqa: N802 - as in threading
        return self

    def wait(self, pause_s: float) -> None:
        self.now += pause_s


def test_an_attempt_whose_weights_cannot_be_written_has_failed(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """It says why and what to do; storage is asked again before."""
    clock = Pauses()
    monkeypatch.setattr(weights, "time", clock)
    monkeypatch.setattr(weights, "threading", clock)
    asked: list[str] = []

    def refuse(self: Storage, name: str, data: bytes) -> None:
        asked.append(name)
        raise StorageError("no space is left")

    with monkeypatch.context() as full:
        full.setattr(Storage, "write", refuse)
        failures = failed(Trainer(), rule(tmp_path, 300.0))
    assert {(f.trial, f.attempt) for f in failures} == {(0, 1), (1, 1)}
    assert all("no space is left" in f.error and "keep_weights: none" in f.error for f in failures)
    assert len(asked) >= 4
    outcomes, _ = finish(Trainer(), *tasks(2, attempt=2), storage=rule(tmp_path, 300.0))
    assert all(o.weights is not None for o in outcomes.values())


def test_so_has_one_whose_storage_hangs_or_is_none(tmp_path: Path, monkeypatch: Patch) -> None:
    assert all("no storage" in f.error for f in failed(Trainer(), None))
    monkeypatch.setattr(weights, "PATIENCE_S", 0.3)
    hung = threading.Event()
    monkeypatch.setattr(Storage, "write", lambda *_: hung.wait())
    assert all("did not answer" in f.error for f in failed(Trainer(), rule(tmp_path, 300.0)))
    hung.set()


def test_storage_that_is_slow_is_waited_for_as_long_as_it_writes(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """All of them take longer than the patience with one."""
    patience = Patience(monkeypatch, each_s=0.3 * weights.PATIENCE_S)
    write = Storage.write

    def slowly(self: Storage, name: str, data: bytes) -> None:
        patience.turn()
        write(self, name, data)

    monkeypatch.setattr(Storage, "write", slowly)
    add, place = tuple(tasks(24)), rule(tmp_path, 300.0)
    answer = Trainer().advance(Order(CASE.spec, add, lanes=24, slice_s=60.0, storage=place))
    assert answer.failures == ()
    assert [o.weights is not None for o in answer.outcomes] == [True] * 24
    assert patience.now > 2 * weights.PATIENCE_S


def test_one_file_that_hangs_fails_its_own_attempt_alone(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    patience = Patience(monkeypatch, hung=1)
    hung, write = threading.Event(), Storage.write

    def hang(self: Storage, name: str, data: bytes) -> None:
        if name.endswith("/3-1.safetensors"):
            hung.wait()
        write(self, name, data)

    monkeypatch.setattr(Storage, "write", hang)
    add, place = tuple(tasks(8)), rule(tmp_path, 300.0)
    answer = Trainer().advance(Order(CASE.spec, add, lanes=8, slice_s=60.0, storage=place))
    hung.set()
    assert patience.now == weights.PATIENCE_S
    assert [f.trial for f in answer.failures] == [3]
    assert len(answer.outcomes) == 7


def test_files_of_attempts_that_failed_do_not_wait_for_storage_that_hangs(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """Else each would hold a lane's memory, and be written once nobody needs it."""
    hung, hanging = threading.Event(), threading.Semaphore(0)
    begun: list[str] = []

    def hang(self: Storage, name: str, data: bytes) -> None:
        begun.append(name)
        hanging.release()
        hung.wait()

    def all_hang() -> None:
        assert all(hanging.acquire(timeout=SURELY_S) for _ in range(4))

    Patience(monkeypatch, hung=8, before=all_hang)
    monkeypatch.setattr(Storage, "write", hang)
    trainer, storage = Trainer(), rule(tmp_path, 300.0)
    order = Order(CASE.spec, tuple(tasks(8)), lanes=8, slice_s=60.0, storage=storage)
    assert len(trainer.advance(order).failures) == 8
    hung.set()
    trainer._keeper._writers.shutdown()
    assert len(begun) == 4


def test_a_diverged_trials_weights_are_kept_where_all_are(tmp_path: Path) -> None:
    case = deep_mlp("wild")
    wild = replace(assignments(case, 2, wild=[1])[1], files=Files(SWEEP, keep=Keep(None, ABOUT)))
    answer = Trainer().advance(
        Order(case.spec, (wild,), slice_s=60.0, storage=rule(tmp_path, 300.0))
    )
    [outcome] = answer.outcomes
    assert outcome.end_state == "diverged"
    assert outcome.weights is not None
    assert read(tmp_path / outcome.weights.path).about["fingerprint"] == outcome.fingerprint

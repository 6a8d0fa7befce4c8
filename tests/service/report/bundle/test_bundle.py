"""A bundle's hash is the sweep's, and its notebook recomputes every number."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.report.build import build
from service.report.bundle.build import write_bundle
from service.report.bundle.manifest import bundle_hash, notebook
from service.store.engine import session_factory
from tests.service.report.swept import ANY, Sessions, finished, made, shuffled
from tests.service.report.test_findings import claim, complete, create, report
from tests.service.samples import outcome
from tests.service.store.test_extending import extend, run
from workers.messages import Assignment, Failure, Outcome


def bundle(sessions: Sessions, sweep: str) -> zipfile.ZipFile:
    """A sweep's bundle."""
    file = io.BytesIO()
    with sessions() as session:
        write_bundle(session, sweep, build(session, sweep), file)
    return zipfile.ZipFile(file)


def hash_of(sessions: Sessions, sweep: str) -> str:
    """The hash as the report says it."""
    return str(report(sessions, sweep).run_log["bundle_hash"])


#: of the sweep `ANY`, on every database, machine and order: it moves only with what is reported
@pytest.mark.parametrize("seed", range(2))
def test_two_runs_of_a_sweep_have_bundles_of_one_hash(sessions: Sessions, seed: int) -> None:
    """One calm, the other by many workers, in another order, with attempts lost on the way."""
    calm, shot_at = finished(sessions, **ANY), shuffled(sessions, seed, **ANY)
    assert hash_of(sessions, calm) == hash_of(sessions, shot_at)


def test_the_hash_is_the_same_on_every_database(sessions: Sessions, sqlite: Engine) -> None:
    there = session_factory(sqlite)
    assert hash_of(sessions, finished(sessions, **ANY)) == hash_of(there, finished(there, **ANY))


def test_the_hash_can_be_checked_with_sha256sum_alone(sqlite: Engine, tmp_path: Path) -> None:
    sessions = session_factory(sqlite)
    sweep = finished(sessions, **ANY)
    tmp_path /= "bundle"
    bundle(sessions, sweep).extractall(tmp_path)
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, check=True)
    told = hash_of(sessions, sweep)
    assert hashlib.sha256((tmp_path / "SHA256SUMS").read_bytes()).hexdigest() == told
    assert hashlib.sha256((tmp_path / "findings.json").read_bytes()).hexdigest() == (
        report(sessions, sweep).findings_hash
    )
    log = json.loads((tmp_path / "run.json").read_text())
    assert log["bundle_hash"] == told
    for name, digest in log["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    hashed = {line.split()[1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()}
    every = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert every == hashed | log["files"].keys() | {"run.json", "SHA256SUMS"}
    assert len([name for name in every if name.endswith(".svg")]) == 7
    assert told in (tmp_path / "report.html").read_text()


def test_one_changed_outcome_changes_the_hash(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)

    def other(task: Assignment) -> Outcome | Failure:
        found = made(task)
        one = isinstance(found, Outcome) and (task.trial % 36, task.seed) == (1, 0)
        return outcome(task, fingerprint="another") if one else found

    assert hash_of(sessions, finished(sessions, **ANY)) != hash_of(
        sessions, finished(sessions, other, **ANY)
    )


def test_the_spec_of_a_bundle_submitted_again_gives_the_same_hash(sqlite: Engine) -> None:
    """So that a reader can run the sweep anew: keys keep their order, which orders arms."""
    sessions = session_factory(sqlite)
    arms = {"plain": {"noise_eta": 0.0}, "noisy": {"noise_eta": 0.01}}
    sweep = finished(sessions, arms=arms, **ANY)
    spec = json.loads(bundle(sessions, sweep).read("spec.json"))
    assert hash_of(sessions, finished(sessions, **spec)) == hash_of(sessions, sweep)


def test_entries_are_sorted_and_have_no_time(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = finished(sessions, **ANY)
    entries = bundle(sessions, sweep).infolist()
    assert [e.filename for e in entries] == sorted(e.filename for e in entries)
    assert {e.date_time for e in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert sum(e.file_size for e in entries) < 5_000_000


def ran(folder: Path) -> "subprocess.CompletedProcess[str]":
    """The notebook's code in a process of its own that cannot import Seedbed."""
    content = json.loads((folder / "recompute.ipynb").read_text())
    code = "\n".join("".join(c["source"]) for c in content["cells"] if c["cell_type"] == "code")
    guard = "import sys\nfor name in ('service', 'workers', 'models'): sys.modules[name] = None\n"
    command = [sys.executable, "-I", "-W", "error", "-c", guard + code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def without_outcomes(task: Assignment) -> Outcome | Failure:
    """Noisy is lost whole."""
    return Failure(task.trial, task.attempt, "lost", "") if task.values["noise_eta"] else made(task)


def extended(sessions: Sessions) -> str:
    """A sweep whose plan was met, and then extended by seeds, an arm and a setting."""
    sweep = finished(sessions, primary={"arm": "noisy", "against": "plain"})
    grid, arms = {"learning_rate": [0.3]}, {"louder": {"noise_eta": 0.03}}
    assert extend(sessions, sweep, seeds=8, arms=arms, grid=grid)
    run(sessions, sweep)
    return sweep


def test_the_notebook_recomputes_an_extended_sweep(sqlite: Engine, tmp_path: Path) -> None:
    sessions = session_factory(sqlite)
    bundle(sessions, extended(sessions)).extractall(tmp_path)
    found = ran(tmp_path)
    assert found.returncode == 0, found.stderr[-2000:]


def always(task: Assignment) -> Outcome:
    """Noisy succeeds at every seed, plain at none."""
    return outcome(task, 0.95 if task.values["noise_eta"] else 0.2)


def fractions(task: Assignment) -> Outcome:
    """Of 320 images, with as many small differences as rounding would part."""
    shift = 5 if task.values["noise_eta"] else 0
    return outcome(task, (100 + (task.seed * 37 + shift * task.seed) % 23) / 320)


def unmeasured(task: Assignment) -> Outcome:
    return outcome(task, end_state="diverged", steps=50, metrics={})


STOPPED = {
    "seeds": 40,
    "cohort": 5,
    "stop": {"when": "evidence", "alpha": 0.01},
    "primary": {"arm": "noisy", "against": "plain"},
}

CASES: list[Any] = [
    pytest.param(made, ANY, id="any, two keys, lost and diverged"),
    pytest.param(outcome, {"primary": {"arm": "noisy", "against": "plain", "sided": "greater"}},
                 id="end, one-sided"),
    pytest.param(always, STOPPED, id="stopped by evidence"),
    pytest.param(without_outcomes, {"grid": {}}, id="an arm without outcome"),
    pytest.param(fractions, {"grid": {}, "seeds": 40}, id="tied fractions"),
    pytest.param(unmeasured, {"grid": {}}, id="nothing measured"),
    pytest.param(outcome, {"arms": {f"e{i}": {"noise_eta": i / 10} for i in range(3)},
                           "primary": {"arm": "e2", "against": "e0"}}, id="three arms"),
]  # fmt: skip


@pytest.mark.parametrize(("yields", "changes"), CASES)
def test_the_notebook_recomputes_every_number(
    sqlite: Engine, tmp_path: Path, yields: Any, changes: dict[str, Any]
) -> None:
    sessions = session_factory(sqlite)
    sweep = finished(sessions, yields, **changes)
    bundle(sessions, sweep).extractall(tmp_path)
    done = ran(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "values of the findings were recomputed, and agree" in done.stdout
    assert hash_of(sessions, sweep) in done.stdout


def test_the_notebook_recomputes_an_interim_report(sqlite: Engine, tmp_path: Path) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions, **ANY)
    complete(sessions, [made(t) for t in claim(sessions, sweep, 24)], attempts=1)
    bundle(sessions, sweep).extractall(tmp_path)
    done = ran(tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_notebook_recomputes_a_report_of_nothing(sqlite: Engine, tmp_path: Path) -> None:
    sessions = session_factory(sqlite)
    bundle(sessions, create(sessions)).extractall(tmp_path)
    done = ran(tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("told", "forged"),
    [(b'"only_a":12', b'"only_a":13'), (b'"successes":24', b'"successes":25')],
    ids=["pairs", "successes"],
)
def test_the_notebook_catches_a_number_that_the_outcomes_do_not_give(
    sqlite: Engine, tmp_path: Path, told: bytes, forged: bytes
) -> None:
    """Even where the sums were forged too."""
    sessions = session_factory(sqlite)
    bundle(sessions, finished(sessions, **ANY)).extractall(tmp_path)
    findings = tmp_path / "findings.json"
    content = findings.read_bytes()
    assert told in content
    findings.write_bytes(content.replace(told, forged, 1))
    before, after = (hashlib.sha256(c).hexdigest() for c in (content, findings.read_bytes()))
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(before, after))
    done = ran(tmp_path)
    assert done.returncode != 0
    assert "AssertionError" in done.stderr


def test_the_notebook_is_one_that_jupyter_opens() -> None:
    found = json.loads(notebook())
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in found["cells"]]
    assert len(ids) == len(set(ids))
    for cell in found["cells"]:
        assert cell["cell_type"] in ("code", "markdown")
        assert all(isinstance(line, str) for line in cell["source"])
        assert (cell["cell_type"] == "code") == ("outputs" in cell)
    assert found["cells"][0]["source"][0] == "# Every number of the findings, from the outcomes\n"


def test_the_hash_is_of_the_findings_alone(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    found = report(sessions, finished(sessions, **ANY))
    assert bundle_hash(found.findings) == found.run_log["bundle_hash"]
    assert bundle_hash(dict(found.findings) | {"outcomes_hash": ""}) != bundle_hash(found.findings)

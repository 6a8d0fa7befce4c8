"""The service as a person meets it: a second one is refused, Ctrl-C stops it, the next goes on."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Serve, outcomes, until
from tests.e2e.test_shot_at import SPEC, finish

pytestmark = [pytest.mark.service, pytest.mark.ray, pytest.mark.timeout(600)]


def command(*words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Runs `seedbed`."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli.app", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )


def test_a_day_in_the_life_of_a_service(serve: Serve, tmp_path: Path) -> None:
    """Submit by command, be refused a second service, stop in the middle, go on, read, delete."""
    first = serve(SEEDBED_PACK_LANES="8")
    state = tmp_path / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    second = command("serve", "--port", "0", "--state-folder", str(state))
    assert second.returncode == 1
    assert "in use by another Seedbed" in second.stderr
    assert "SEEDBED_STATE_FOLDER" in second.stderr
    assert "Traceback" not in second.stderr

    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(SPEC), encoding="utf-8")
    submitted = command("submit", str(file), "--url", first.url)
    assert submitted.returncode == 0, submitted.stderr
    [sweep] = [s["id"] for s in first.client.sweeps()]
    until(lambda: first.client.progress(sweep)["ended"] > 0, 120)
    assert first.stop() == 0
    assert "the next serve goes on" in first.log.read_text()

    again = serve(SEEDBED_PACK_LANES="8")
    watched = command("watch", sweep, "--url", again.url)
    assert watched.returncode == 0, watched.stderr
    report = finish(again, sweep)
    assert len(outcomes(again.client, sweep)) == 48
    printed = command("report", sweep, "--url", again.url)
    assert report["findings_hash"] in printed.stdout
    copy = tmp_path / "copy.db"
    backed = command("backup", str(copy), env={"SEEDBED_STATE_FOLDER": str(state)})
    assert backed.returncode == 0, backed.stderr
    assert copy.stat().st_size > 10_000
    assert command("delete", sweep, "--yes", "--url", again.url).returncode == 0
    assert list(again.client.sweeps()) == []


def test_a_service_on_postgresql_trains_the_same_bits(serve: Serve, postgres: str) -> None:
    """The store decides nothing about results."""
    small = SPEC | {"seeds": 4, "cohort": 2, "budget": {"steps": 200}}
    hashes = []
    for environment in ({}, {"SEEDBED_DATABASE_URL": postgres}):
        running = serve(**environment)
        sweep = running.client.submit(small)["id"]
        hashes.append(finish(running, sweep)["findings_hash"])
        assert running.stop() == 0
    assert hashes[0] == hashes[1]


def test_a_device_that_is_not_there_and_a_folder_of_others_are_refused(tmp_path: Path) -> None:
    """Before anything is trained, with the cure, and the service's own Ray is gone again."""
    variables = os.environ | {"SEEDBED_PORT": "0", "CUDA_VISIBLE_DEVICES": ""}
    state = {"SEEDBED_STATE_FOLDER": str(tmp_path / "state")}
    found = command("serve", "--device", "cuda", env=variables | state)
    assert found.returncode == 1
    assert "Ray sees no GPU" in found.stderr
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / "theirs").touch()
    found = command("serve", env=variables | {"SEEDBED_STATE_FOLDER": str(shared)})
    assert found.returncode == 1
    assert "chmod 700" in found.stderr
    assert "Traceback" not in found.stderr
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SEEDBED_HOST", "0.0.0.0", "loopback only"),  # noqa: S104 - what must be refused
        ("SEEDBED_REDIS_URL", "127.0.0.1:6379", "no scheme that is known"),
        ("SEEDBED_DATABASE_URL", "mysql://x", "SQLite and PostgreSQL"),
        ("SEEDBED_PORT", "99999", "65535"),
        ("SEEDBED_DEVICE", "gpu", "cpu or cuda"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused_with_the_cure(
    name: str, value: str, words: str, tmp_path: Path
) -> None:
    found = command("serve", env={name: value, "SEEDBED_STATE_FOLDER": str(tmp_path)})
    assert found.returncode != 0
    assert words in found.stderr
    assert "Traceback" not in found.stderr

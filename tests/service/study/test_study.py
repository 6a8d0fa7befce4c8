"""A study as it is run: interrupted, gone on with, and written down."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from service.presets import Preset, preset
from service.store.archive import ArchiveError
from service.study import archive, run
from service.study.__main__ import STUDIES
from service.study.run import OUTCOMES, OutOfTimeError, Study

NAME = "small/tiny"


def tiny() -> Preset:
    """Three cohorts of two seeds of the demo's two arms, a segment each."""
    found = preset("small/table1")
    spec = preset("deep-mlp-demo").spec | {
        "fixed": {"depth": 2, "width": 20, "batch": 8}, "seeds": 6, "cohort": 2,
        "budget": {"steps": 200},
    }  # fmt: skip
    return replace(found, name=NAME, spec=spec, pace=1000.0)


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Study:
    """Of a preset that takes seconds."""
    monkeypatch.setattr(run, "preset", lambda _: tiny())
    return Study(NAME, tmp_path, lambda _: None)


def test_the_studies_are_presets_with_a_pace_and_fit_into_twelve_core_hours(
    tmp_path: Path,
) -> None:
    hours = [Study(name, tmp_path, print).core_hours() for name in STUDIES]
    assert all(whole == left > 0 for whole, left in hours)
    assert sum(whole for whole, _ in hours) < 12


@pytest.mark.ray
@pytest.mark.service
@pytest.mark.timeout(600)
def test_a_study_that_was_interrupted_goes_on_and_ends_with_the_same_findings(
    study: Study, tmp_path: Path
) -> None:
    """In its time and its numerics class only; it trains only what the first run did not keep."""
    study.run(time.monotonic() + 500)
    place = tmp_path / NAME
    whole = archive.read(place / OUTCOMES)
    findings = json.loads((place / "findings.json").read_text())
    assert len(whole.records) == 12
    assert study.core_hours()[1] == 0.0
    page = (place / "README.md").read_text()
    assert "| plain |" in page
    assert "The paper's numbers" not in page
    assert "Sussillo-Abbott" in page
    assert "<svg" in (place / "figure.svg").read_text()

    first = [r for r in whole.records if r.seed < 2]
    other = dict(whole.numerics) | {"code": "another"}
    archive.write(place / OUTCOMES, replace(whole, records=first, numerics=other))
    with pytest.raises(ArchiveError, match="another numerics class"):
        study.run(time.monotonic() + 500)
    archive.write(place / OUTCOMES, replace(whole, records=first))
    with pytest.raises(OutOfTimeError, match="run it again"):
        study.run(time.monotonic())
    assert archive.read(place / OUTCOMES).records == first

    again: list[str] = []
    study.say = again.append
    study.run(time.monotonic() + 500)
    assert again[0] == f"{NAME}: 1 of 3 cohorts were kept"
    assert list(archive.read(place / OUTCOMES).records) == list(whole.records)
    assert json.loads((place / "findings.json").read_text()) == findings


def test_outcomes_of_another_spec_are_refused(study: Study, tmp_path: Path) -> None:
    spec = dict(study.plan.spec) | {"seeds": 5}
    archive.write(tmp_path / NAME / OUTCOMES, archive.Archive(spec, {"code": "x"}, 0.0, []))
    with pytest.raises(ArchiveError, match="made from another spec"):
        study.core_hours()


def test_too_many_core_hours_are_not_begun(tmp_path: Path) -> None:
    words = ["--folder", str(tmp_path), "--core-hours", "0.01", "small/table1"]
    done = subprocess.run(
        [sys.executable, "-m", "service.study", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "core-hours expected" in done.stderr
    assert "are not begun" in done.stderr

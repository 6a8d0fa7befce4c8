"""The served API keeps to its description under generated requests, valid and not."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from models.experiment import Experiment
from service.api import catalogue
from service.errors import ProblemError
from service.store.engine import open_engine, upgrade
from tests.fuzz.campaign import run
from tests.fuzz.settings import CROSSED
from tests.fuzz.stage import Stage, staged
from tests.fuzz.tally import Tally
from tests.service.serving import serving

pytestmark = pytest.mark.usefixtures("subnormal")


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """An empty store."""
    found = open_engine(f"sqlite:///{tmp_path / 'store.db'}")
    upgrade(found)
    yield found
    found.dispose()


@pytest.fixture
def stage(postgres: str, tmp_path: Path) -> Iterator[Stage]:
    admin = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE fuzz"))
    admin.dispose()
    with staged(postgres.replace("/postgres?", "/fuzz?"), tmp_path, 1) as found:
        yield found


@pytest.mark.parametrize("fault", ["status", "shape"])
def test_an_answer_that_is_not_described_is_found(
    sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Planted: a key more, and another status."""

    def planted(found: Experiment) -> dict[str, Any]:
        if fault == "shape":
            return {"extra": 1}
        raise ProblemError(418, "short and stout", "pour")

    monkeypatch.setattr(catalogue, "experiment_json", planted)
    tally = Tally()
    with serving(sqlite, tmp_path) as served, contextlib.closing(Stage(served, 1)) as stage:
        run(stage, tally, seed=1, max_time_s=None, examples=1, only="/api/v1/experiments")
    check = {"status": "status_code_conformance", "shape": "response_schema_conformance"}[fault]
    assert check in {wrong.check for wrong in tally.wrong}
    assert check in tally.told()


def test_every_operation_keeps_to_the_description(stage: Stage) -> None:
    """All checks of schemathesis hold, on real sweeps while their trials end."""
    tally = Tally()
    run(stage, tally, seed=1, max_time_s=None, examples=2)
    assert not tally.told()
    assert tally.requests > 300
    asked = {operation for operation, _ in tally.answers}
    assert asked == stage.described()
    assert asked >= CROSSED.keys()

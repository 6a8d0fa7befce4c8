"""A disk that is full stops a service on SQLite and breaks nothing; with room again it goes on."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from service.dispatch.faults import trouble
from service.dispatch.loop import Dispatcher
from service.store.engine import open_engine, session_factory, upgrade
from service.store.faults import full
from tests.service.api.conftest import Served
from tests.service.dispatch.stand_ins import RULES, FakeWorkers, look, submit
from tests.service.samples import spec
from tests.service.store.test_conformance import check_counters

pytestmark = pytest.mark.anyio


@dataclass
class Disk:
    """A store on a disk that can be filled."""

    engine: Engine
    fill: Callable[[], None]
    free: Callable[[], None]


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """A file system of its own with little room: real ENOSPC."""
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], check=False
        ).returncode
    ):
        pytest.skip("only root may mount a small file system; the limit on pages is tested alike")
    engine = open_engine(f"sqlite:///{folder / 'store.db'}")
    ballast = folder / "ballast"

    def fill() -> None:
        with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(b"\0" * 512)

    try:
        yield Disk(engine, fill, ballast.unlink)
    finally:
        engine.dispose()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def limited(folder: Path) -> Iterator[Disk]:
    """A file that may not grow: SQLite's own limit on pages raises what a full disk raises."""
    engine = open_engine(f"sqlite:///{folder}.db")
    most = {"pages": 2**30}

    @event.listens_for(engine, "begin")
    def _limit(connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most['pages']}")

    yield Disk(engine, lambda: most.update(pages=1), lambda: most.update(pages=2**30))
    engine.dispose()


@pytest.fixture(params=[mounted, limited])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Both ways to fill one."""
    with request.param(tmp_path / "disk") as found:
        upgrade(found.engine)
        yield found


async def test_a_full_disk_is_said_clearly_and_costs_nothing(disk: Disk, tmp_path: Path) -> None:
    """Outcomes wait in the dispatcher; reads go on; a new sweep is refused with the cure."""
    sessions, workers = session_factory(disk.engine), FakeWorkers(2)
    # many trials, so that what is written does not fit into pages that are there
    sweep = submit(sessions, seeds=60, cohort=30)
    dispatcher = Dispatcher(sessions, workers, RULES, "me")
    for _ in range(4):
        dispatcher.tick(0.0)
    before = look(sessions, sweep).ended
    disk.fill()
    refused = []
    for _ in range(40):
        try:
            dispatcher.tick(0.0)
        except DBAPIError as error:
            refused.append(error)
    assert refused
    assert all(full(error) and trouble(error) == "store_full" for error in refused)
    stuck = look(sessions, sweep)
    assert before <= stuck.ended < 240

    # many cells, for the same reason
    wide = spec(grid={"learning_rate": [(n + 1) / 1000 for n in range(400)]})
    served = Served(disk.engine, tmp_path)
    async with served.client() as client:
        with capture_logs() as logged:
            answer = await client.post("/api/v1/sweeps", json=wide)
        assert answer.status_code == 507, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert "free some disk" in answer.json()["cure"]
        assert int(answer.headers["retry-after"]) > 0
        events = [line["event"] for line in logged]
        assert "store_full" in events
        assert "request_failed" not in events
        shown = await client.get(f"/api/v1/sweeps/{sweep}/progress")
        assert shown.status_code == 200
        disk.free()
        again = await client.post("/api/v1/sweeps", json=spec(seeds=2))
        assert again.status_code == 201

    for _ in range(60):
        dispatcher.tick(0.0)
    assert (look(sessions, sweep).state, look(sessions, sweep).ended) == ("finished", 240)
    check_counters(sessions, sweep)

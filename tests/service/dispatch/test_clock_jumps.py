"""A host's clock that jumps by hours ends no lease, breaks no rule of the schema, loses nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.dispatch import leadership, loop
from service.dispatch.leadership import LeaseLostError
from service.dispatch.loop import Dispatcher
from service.report.build import build
from service.report.markdown import render_markdown
from service.store.engine import session_factory
from tests.service.api.conftest import Served
from tests.service.dispatch.stand_ins import RULES, FakeWorkers, look, submit
from tests.service.store.test_conformance import check_counters

pytestmark = pytest.mark.anyio
#: hours by which the clock is wrong, turn after turn
JUMPS = (0, 5, -5, 0, 24 * 400, -24 * 400, -1, 1)


class Clock:
    """Wrong by other hours at every look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> datetime:
        self.looks += 1
        return datetime.now(UTC) + timedelta(hours=JUMPS[self.looks % len(JUMPS)])


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio alone."""
    return "asyncio"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The dispatcher's."""
    found = Clock()
    monkeypatch.setattr(loop, "now", found)
    monkeypatch.setattr(leadership, "now", found)
    return found


async def test_a_sweep_ends_and_reports_the_same_whatever_the_clock_says(
    engine: Engine, clock: Clock, tmp_path: Path
) -> None:
    """Times are for people; ends, counters and findings are not of them."""
    sessions = session_factory(engine)
    sweep, other = submit(sessions), submit(sessions)
    dispatcher = Dispatcher(sessions, FakeWorkers(2), RULES, "me")
    async with Served(engine, tmp_path).client() as client:
        for _ in range(40):
            dispatcher.tick(0.0)
            for path in (f"/sweeps/{sweep}", f"/sweeps/{sweep}/progress", "/sweeps"):
                shown = await client.get(f"/api/v1{path}")
                assert shown.status_code == 200, shown.text
        for format_ in ("json", "markdown", "csv", "html"):
            asked = {"format": format_}
            report = await client.get(f"/api/v1/sweeps/{sweep}/report", params=asked)
            assert report.status_code == 200, report.text
    assert clock.looks > 20
    check_counters(sessions, sweep)
    with sessions() as session:
        reports = [build(session, each) for each in (sweep, other)]
    assert look(sessions, sweep).state == look(sessions, other).state == "finished"
    assert reports[0].findings_hash == reports[1].findings_hash
    assert no_negative(reports[0].run_log)
    assert render_markdown(reports[0])


def no_negative(value: Any) -> bool:
    """Whether no number within is below zero: nobody took less than no time."""
    if isinstance(value, dict):
        return all(no_negative(v) for v in value.values())
    if isinstance(value, list):
        return all(no_negative(v) for v in value)
    return not isinstance(value, int | float) or value >= 0


@pytest.mark.usefixtures("long_lease")
@pytest.mark.parametrize("bare", ["postgresql"], indirect=True)
def test_on_postgresql_a_clock_that_jumps_neither_loses_nor_takes_a_lease(
    engine: Engine, clock: Clock
) -> None:
    """Leases are told by the database's clock; a SQLite file has one dispatcher anyway."""
    sessions = session_factory(engine)
    sweep = submit(sessions)
    first = Dispatcher(sessions, FakeWorkers(1), RULES, "first")
    second = Dispatcher(sessions, FakeWorkers(1), RULES, "second")
    for _ in range(30):
        first.tick(0.0)
        with pytest.raises(LeaseLostError):
            second._renew()
    assert look(sessions, sweep).state == "finished"

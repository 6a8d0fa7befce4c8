"""PostgreSQL is killed with all its backends and started again; dispatcher and API outlive it."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from service.dispatch import loop
from service.dispatch.loop import Dispatcher
from service.local import free_port
from service.store.engine import open_engine, session_factory, upgrade
from tests.chaos.parts import Part, end, postgres, postgres_url, tree, until
from tests.service.api.conftest import Served
from tests.service.dispatch.stand_ins import RULES, FakeWorkers, look, submit
from tests.service.samples import spec
from tests.service.store.test_conformance import check_counters

pytestmark = pytest.mark.anyio
WAIT_S = 60


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio alone."""
    return "asyncio"


@pytest.fixture
def server() -> Iterator[tuple[Part, Engine]]:
    """A PostgreSQL of the test's own, whose user may enter no folder of pytest's."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="seedbed-pg-", ignore_cleanup_errors=True) as folder:
        part = postgres(port, Path(folder))
        part.start()
        engine = open_engine(postgres_url(port))
        until(lambda: there(engine), WAIT_S, part.tail)
        upgrade(engine)
        yield part, engine
        engine.dispose()
        end(tree(part.pid))


def there(engine: Engine) -> bool:
    """Whether it answers."""
    try:
        with engine.connect():
            return True
    except DBAPIError:
        return False


class Slow(FakeWorkers):
    """Workers that end one trial a call, so that the sweep lasts."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__(2)
        self.gate = gate

    def wait(self, timeout_s: float) -> list[loop.Reply]:
        if not self.gate.wait(timeout_s):
            return []
        return super().wait(timeout_s)


async def test_a_killed_postgresql_is_waited_for_and_told_to_clients(
    server: tuple[Part, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After meanwhile; afterwards every trial has its one outcome."""
    monkeypatch.setattr(loop, "pause_s", lambda _: 0.2)
    part, engine = server
    sessions, gate, stop = session_factory(engine), threading.Event(), threading.Event()
    sweep = submit(sessions, seeds=12, cohort=4)
    dispatcher = Dispatcher(sessions, Slow(gate), RULES, "me")
    thread = threading.Thread(target=dispatcher.run, args=(stop, 0.05))
    with capture_logs() as logged:
        thread.start()
        gate.set()
        until(lambda: look(sessions, sweep).ended > 0, WAIT_S, part.tail)
        gate.clear()
        part.kill()
        async with Served(engine, tmp_path).client() as client:
            for method, path in (("GET", f"/sweeps/{sweep}"), ("POST", "/sweeps")):
                body = spec() if method == "POST" else None
                answer = await client.request(method, f"/api/v1{path}", json=body)
                assert answer.status_code == 503, answer.text
                assert answer.headers["content-type"] == "application/problem+json"
                assert int(answer.headers["retry-after"]) > 0
                assert "127.0.0.1" not in answer.text, "where the store lies is not for clients"
            gate.set()  # what workers return now finds no store, and waits

            def noticed() -> bool:
                return any(line["event"] == "store_unreachable" for line in logged)

            until(noticed, WAIT_S, lambda: str(logged))
            part.start()
            until(lambda: there(engine), WAIT_S, part.tail)
            again = await client.get(f"/api/v1/sweeps/{sweep}")
            assert again.status_code == 200
        until(lambda: look(sessions, sweep).state == "finished", WAIT_S, lambda: str(logged))
        stop.set()
        thread.join(WAIT_S)
    assert not thread.is_alive()
    assert look(sessions, sweep).ended == 48
    check_counters(sessions, sweep)
    assert not [line for line in logged if line["event"] in ("turn_failed", "answer_refused")]

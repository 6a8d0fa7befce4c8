"""Redis is killed and comes back under a dispatcher, an API and an event stream, none restarted."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine
from structlog.testing import capture_logs

from service.bus.choice import waking
from service.bus.redis import RedisBus
from service.client import Client, Event
from service.dispatch.loop import Dispatcher
from service.dispatch.telling import Teller
from service.store.engine import session_factory
from tests.redis_server import RedisServer
from tests.service.dispatch.stand_ins import RULES, FakeWorkers
from tests.service.samples import spec
from tests.service.serving import Served, serving

WAIT_S = 30


def until(true: Callable[[], bool]) -> None:
    """Polls until something holds."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, f"not so after {WAIT_S} s"
        time.sleep(0.02)


@contextlib.contextmanager
def dispatching(engine: Engine, bus: RedisBus) -> Iterator[None]:
    """A real dispatcher with workers that end every trial at once."""
    stop = threading.Event()
    dispatcher = Dispatcher(
        session_factory(engine), FakeWorkers(1), RULES, "me", tell=Teller(bus).tell
    )
    loop = threading.Thread(target=dispatcher.run, args=(stop,))
    with waking(bus, dispatcher.wake):
        loop.start()
        try:
            yield
        finally:
            stop.set()
            loop.join(WAIT_S)


def told(served: Served) -> list[Event]:
    """Every event of a new sweep, to its end."""
    with Client(served.url) as client:
        return list(client.events(client.submit(spec())["id"]))


def test_a_dispatcher_and_streams_outlive_redis(
    sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work goes on while it is away; then telemetry flows again; each process logs two lines."""
    with RedisServer() as server, capture_logs() as logs:
        dispatch_bus, api_bus = RedisBus(server.url), RedisBus(server.url)
        with dispatching(sqlite, dispatch_bus), serving(sqlite, tmp_path, api_bus) as served:
            assert told(served)[-1].name == "end"
            server.kill()
            until(lambda: not (dispatch_bus.link.up or api_bus.link.up))
            rest = told(served)
            assert json.loads(rest[-1].data)["state"] == "finished"
            server.start()
            until(lambda: dispatch_bus.link.up and api_bus.link.up)
            with Redis.from_url(server.url) as client:
                until(lambda: dict(client.pubsub_numsub("seedbed:wake")) == {b"seedbed:wake": 1})
            with Redis.from_url(server.url) as client, client.pubsub() as heard:
                heard.psubscribe("seedbed:sweep:*")
                assert told(served)[-1].name == "end"
                until(lambda: (heard.get_message(timeout=0.1) or {}).get("type") == "pmessage")
        for bus in (dispatch_bus, api_bus):
            bus.close()
    events = [line["event"] for line in logs if line["event"].startswith("redis_")]
    assert sorted(events) == ["redis_back"] * 2 + ["redis_lost"] * 2, events

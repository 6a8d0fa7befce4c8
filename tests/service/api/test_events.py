"""Event streams over a real connection: what is told, to whom, at what cost, and when they end."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio import CapacityLimiter
from sqlalchemy import Engine, event

from service.api.events import events
from service.api.feed import Feed, Look
from service.api.permits import Permit
from service.bus import Bus, LocalBus, sweep_topic
from service.bus.redis import RedisBus
from service.client import Client, Event, ServiceError
from tests.redis_server import RedisServer
from tests.service import serving as serving_module
from tests.service.samples import spec
from tests.service.serving import Served, serving

WAIT_S = 30


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def served(sqlite: Engine, tmp_path: Path, bus: LocalBus) -> Iterator[Served]:
    with serving(sqlite, tmp_path, bus) as found:
        yield found


def until(true: Callable[[], bool], limit_s: float = WAIT_S) -> None:
    """Polls until something holds."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"not so after {limit_s} s"
        time.sleep(0.02)


def submit(served: Served, **changes: Any) -> str:
    with Client(served.url) as client:
        found: str = client.submit(spec(**changes))["id"]
        return found


def first(stream: Iterator[Event], name: str) -> Event:
    """The next event of a name."""
    return next(event for event in stream if event.name == name)


def test_a_stream_tells_what_is_so_then_what_changes_then_the_end(served: Served) -> None:
    sweep = submit(served)
    with Client(served.url) as client:
        stream = client.events(sweep)
        assert json.loads(first(stream, "state").data) == {"state": "waiting", "reason": None}
        assert json.loads(first(stream, "progress").data) == client.progress(sweep)
        served.train(8)
        later = first(stream, "progress")
        assert json.loads(later.data)["ended"] == 8
        assert later.id
        client.pause(sweep)
        assert json.loads(first(stream, "state").data)["state"] == "paused"
        client.resume(sweep)
        assert json.loads(first(stream, "state").data)["state"] == "running"
        served.train_all()
        rest = list(stream)
        assert rest[-1].name == "end"
        assert json.loads(rest[-1].data) == {"state": "finished", "reason": None}
        told = [e for e in rest if e.name == "progress"]
        assert json.loads(told[-1].data)["ended"] == 24


def test_a_write_is_told_at_once_and_not_at_the_next_poll(
    served: Served, bus: LocalBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.feed.POLL_S", 10 * WAIT_S)
    sweep = submit(served)
    with Client(served.url) as client:
        stream = client.events(sweep)
        first(stream, "progress")
        until(lambda: bool(bus._subscribed))
        client.pause(sweep)
        assert json.loads(first(stream, "state").data)["state"] == "paused"


def test_telemetry_is_told_and_nothing_else_that_a_message_holds(
    served: Served, bus: LocalBus
) -> None:
    sweep = submit(served)
    with Client(served.url) as client:
        stream = client.events(sweep)
        first(stream, "progress")
        until(lambda: bool(bus._subscribed))
        for strange in ({"telemetry": 1}, {"telemetry": {"running": "all"}}, {"n": 1}):
            bus.publish(sweep_topic(sweep), strange)
        bus.publish(
            sweep_topic(sweep), {"telemetry": {"running": 3, "share": 0.25, "successes": 2}}
        )
        found = first(stream, "telemetry")
        assert json.loads(found.data) == {"running": 3, "share": 0.25}


def test_a_client_that_comes_back_is_told_only_what_is_newer(served: Served) -> None:
    sweep = submit(served)
    with Client(served.url) as client:
        known = first(client.events(sweep), "progress").id
        stream = client.events(sweep, known)
        served.train(8)
        newer = first(stream, "progress")
        assert json.loads(newer.data)["ended"] == 8
        assert next(client.events(sweep, "of another sweep")).name == "state"


def test_of_a_sweep_that_has_ended_the_end_is_told(served: Served) -> None:
    sweep = submit(served)
    served.train_all()
    with Client(served.url) as client:
        told = list(client.events(sweep))
        assert [e.name for e in told] == ["state", "progress", "end"]
        assert [e.name for e in client.events(sweep, told[-1].id)] == ["end"]


def test_of_a_sweep_that_is_deleted_the_end_is_told(served: Served) -> None:
    sweep = submit(served)
    with Client(served.url) as client, Client(served.url) as other:
        stream = client.events(sweep)
        first(stream, "progress")
        other.cancel(sweep)
        other.delete(sweep)
        assert json.loads(first(stream, "end").data)["state"] in ("cancelled", "deleted")


def test_a_sweep_that_is_not_there_has_no_stream(served: Served) -> None:
    with Client(served.url) as client, pytest.raises(ServiceError, match="there is no sweep"):
        next(client.events("0" * 23))


def test_a_stream_is_what_the_standard_says(served: Served) -> None:
    """With the safety headers, and kept from caches and buffers."""
    sweep = submit(served)
    served.train_all()
    url = f"{served.url}/api/v1/sweeps/{sweep}/events"
    reply = httpx.get(url, trust_env=False, timeout=WAIT_S)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-accel-buffering"] == "no"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "no-" in reply.headers["cache-control"]
    assert reply.text.startswith(": Seedbed\nretry: 2000\n\n")
    refused = httpx.get(url, params={"since": 1}, trust_env=False, timeout=WAIT_S)
    assert refused.status_code == 422


def test_a_quiet_stream_beats_and_holds_no_connection_of_the_store(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.05)
    monkeypatch.setattr("service.api.feed.POLL_S", 10 * WAIT_S)
    sweep = submit(served)
    url = f"{served.url}/api/v1/sweeps/{sweep}/events"
    with httpx.stream("GET", url, trust_env=False, timeout=WAIT_S) as reply:
        seen = ""
        for piece in reply.iter_text():
            seen += piece
            if seen.count(": ping") > 3:
                break
        pool: Any = served.engine.pool
        until(lambda: pool.checkedout() == 0)  # the first looks are over, and no other is to come


def test_many_streams_of_a_sweep_read_the_store_once(served: Served) -> None:
    """And it is read no more often than some times a second, whatever the bus says."""
    sweep = submit(served)
    reads = []

    @event.listens_for(served.engine, "begin")
    def count(connection: object) -> None:
        reads.append(time.monotonic())

    with contextlib.ExitStack() as open_:
        clients = [open_.enter_context(Client(served.url)) for _ in range(20)]
        streams = [client.events(sweep) for client in clients]
        for stream in streams:
            first(stream, "progress")
        served.train(8)
        for stream in streams:
            assert json.loads(first(stream, "progress").data)["ended"] == 8
    assert len(reads) < 20 + 10  # a request each would be 40


def test_more_streams_than_there_are_places_are_refused(sqlite: Engine, tmp_path: Path) -> None:
    """Until one is left: also one that its client dropped."""
    with serving(sqlite, tmp_path, streams=2) as served:
        sweep = submit(served)
        with Client(served.url) as one, Client(served.url) as two, Client(served.url) as three:
            kept = [one.events(sweep), two.events(sweep)]
            for stream in kept:
                next(stream)
            with pytest.raises(ServiceError, match="all 2 event streams") as refused:
                next(three.events(sweep))
            assert refused.value.status == 503
            url = f"{served.url}/api/v1/sweeps/{sweep}/events"
            full = httpx.get(url, trust_env=False, timeout=WAIT_S)
            assert full.headers["retry-after"] == "10"
            kept[0].close()  # type: ignore[attr-defined]

            def let_in() -> bool:
                try:
                    return next(three.events(sweep)).name == "state"
                except ServiceError:
                    return False

            until(let_in)


def test_the_end_of_the_process_ends_streams_at_once(sqlite: Engine, tmp_path: Path) -> None:
    """Without the event `end`: the sweep goes on, and the client comes back."""
    told: list[Event] = []
    with serving(sqlite, tmp_path) as served:
        sweep = submit(served)

        def follow() -> None:
            with contextlib.suppress(Exception), Client(served.url) as client:
                for each in client.events(sweep):
                    told.append(each)  # noqa: PERF402 - the first is waited for

        follower = threading.Thread(target=follow)
        follower.start()
        until(lambda: bool(told))
        began = time.monotonic()
    # an open connection would hold it until `serving` no longer waits
    assert time.monotonic() - began < serving_module.WAIT_S / 2
    follower.join(WAIT_S)
    assert not follower.is_alive()
    assert "end" not in [e.name for e in told]


def stalled(served: Served, sweep: str) -> socket.socket:
    """A client that asks for events and reads none of them."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.settimeout(WAIT_S)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    host, port = served.url.removeprefix("http://").split(":")
    found.connect((host, int(port)))
    asked = f"GET /api/v1/sweeps/{sweep}/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
    found.sendall(asked.encode())
    assert found.recv(12) == b"HTTP/1.1 200"  # it has its place
    return found


def test_a_client_that_reads_nothing_is_cut_off_and_its_place_is_free(
    sqlite: Engine, tmp_path: Path, bus: LocalBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.processes.binding.STALLED_MS", 1000)
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.05)
    over = threading.Event()
    with serving(sqlite, tmp_path, bus, streams=1) as served:
        sweep = submit(served)

        def talk() -> None:
            n = 0
            while not over.is_set():
                n += 1
                said = {"telemetry": {"running": n, "share": 0.5}}
                bus.publish(sweep_topic(sweep), said)
                over.wait(0.0002)

        talker = threading.Thread(target=talk)
        talker.start()
        with contextlib.closing(stalled(served, sweep)), Client(served.url) as client:

            def let_in() -> bool:
                with contextlib.suppress(ServiceError):
                    return next(client.events(sweep)).name == "state"
                return False

            until(lambda: not let_in())  # the stalled one has the place
            until(let_in)
        over.set()
        talker.join(WAIT_S)


@pytest.mark.anyio
async def test_a_slow_client_gets_the_newest_and_nothing_piles_up() -> None:
    """A hundred thousand changes while it takes one event."""
    feed = Feed("s", lambda _: {}, CapacityLimiter(1))
    feed.now = Look("1", "running", None, "{}", over=False)
    stream = events(feed, Permit())
    assert [(await anext(stream)).event for _ in range(3)] == [None, "state", "progress"]
    for n in range(100_000):
        feed.hear({"running": n, "share": None})
    feed.now = Look("2", "running", None, '{"n": 2}', over=False)
    feed.end()
    told = [(e.event, e.data, e.raw_data) async for e in stream]
    assert told == [
        ("telemetry", {"running": 99_999, "share": None}, None),
        ("progress", None, '{"n": 2}'),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("taken", [1, 2, 3, 4])
async def test_a_slow_reader_is_told_nothing_after_its_permit_is_over(taken: int) -> None:
    """Whichever event it was taking meanwhile."""
    feed = Feed("s", lambda _: {}, CapacityLimiter(1))
    feed.now = Look("1", "finished", None, "{}", over=True)
    feed.hear({"running": 1, "share": None})
    feed.end()
    permit = Permit()
    stream = events(feed, permit)
    told = [(await anext(stream)).event for _ in range(taken)]
    assert told == [None, "state", "progress", "telemetry"][:taken]
    permit.over = True
    assert [event async for event in stream] == []


def test_events_reach_clients_of_every_process_on_one_redis(
    sqlite: Engine, tmp_path: Path, redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one API writes, the streams of another tell at once."""
    monkeypatch.setattr("service.api.feed.POLL_S", 10 * WAIT_S)
    one_bus, other_bus = RedisBus(redis_server), RedisBus(redis_server)
    with (
        serving(sqlite, tmp_path, one_bus) as one,
        serving(sqlite, tmp_path, other_bus) as other,
        Client(one.url) as writes,
        Client(other.url) as reads,
    ):
        sweep = submit(one)
        stream = reads.events(sweep)
        first(stream, "progress")
        until(lambda: subscribed(redis_server) > 0)
        writes.pause(sweep)
        assert json.loads(first(stream, "state").data)["state"] == "paused"
        one_bus.publish(sweep_topic(sweep), {"telemetry": {"running": 1, "share": 0.5}})
        assert json.loads(first(stream, "telemetry").data) == {"running": 1, "share": 0.5}
    one_bus.close()
    other_bus.close()


def subscribed(url: str) -> int:
    from redis import Redis  # noqa: PLC0415

    with Redis.from_url(url) as client:
        return int(client.pubsub_numpat())


def test_a_stream_outlives_the_death_of_redis(
    sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile it polls; afterwards messages flow again, and nothing was restarted."""
    monkeypatch.setattr("service.api.feed.POLL_S", 0.5)
    with RedisServer() as server:
        bus: Bus = RedisBus(server.url)
        with serving(sqlite, tmp_path, bus) as served, Client(served.url) as client:
            sweep = submit(served)
            stream = client.events(sweep)
            first(stream, "progress")
            server.kill()
            served.train(8)
            assert json.loads(first(stream, "progress").data)["ended"] == 8
            server.start()
            until(lambda: subscribed(server.url) > 0)
            monkeypatch.setattr("service.api.feed.POLL_S", 10 * WAIT_S)
            with Client(served.url) as other:
                other.pause(sweep)
            assert json.loads(first(stream, "state").data)["state"] == "paused"
        bus.close()

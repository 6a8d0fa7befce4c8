"""Many clients at once: they wait in line and are answered; who asks too often is told to wait."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine

from service.api.crowd import ROOMS, Crowd
from service.api.state import Health
from service.bus import choice
from service.bus.limits import LocalLimits
from service.bus.redis import RedisBus
from service.client import Client
from tests.service.api.conftest import Served
from tests.service.api.keyed import Keyed
from tests.service.samples import spec
from tests.service.serving import Served as Running
from tests.service.serving import serving

pytestmark = pytest.mark.anyio
ROOT = "/api/v1/sweeps"
CLIENTS = 200
#: anyio's, for all that routes do
THREADS = 40


def submit(served: Running) -> str:
    with Client(served.url) as client:
        found: str = client.submit(spec())["id"]
        return found


async def at_once(url: str, asked: list[tuple[str, str]]) -> list[httpx.Response]:
    """Every request by a client of its own, all at one time."""
    limits = httpx.Limits(max_connections=len(asked), max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=url, timeout=120, limits=limits, trust_env=False
    ) as client:
        options = [{"json": {}} if method == "POST" else {} for method, _ in asked]
        return await asyncio.gather(
            *(
                client.request(method, path, **more)  # type: ignore[arg-type]
                for (method, path), more in zip(asked, options, strict=True)
            )
        )


async def test_two_hundred_clients_at_once_are_all_answered(engine: Engine, tmp_path: Path) -> None:
    """Readers, writers of one sweep, and reports, on each database: nobody meets an error."""
    with serving(engine, tmp_path, rate_limit=0) as served:
        sweep = submit(served)
        served.train_all()
        waiting = submit(served)
        kinds = [
            ("GET", f"{ROOT}/{sweep}/progress"),
            ("POST", f"{ROOT}/{waiting}/pause"),
            ("GET", ROOT),
            ("POST", f"{ROOT}/{waiting}/resume"),
        ]
        asked = [kinds[n % 4] for n in range(CLIENTS - 8)]
        asked += [("GET", f"{ROOT}/{sweep}/report")] * 8
        replies = await at_once(served.url, asked)
        assert {r.status_code for r in replies} <= {200, 409}, [
            r.text for r in replies if r.status_code >= 500
        ]


async def test_a_line_that_is_full_says_when_to_come_back() -> None:
    """And probes, metrics and streams do not stand in it."""
    app, going = FastAPI(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        await going.wait()
        return "done"

    @app.get("/healthz")
    async def alive() -> str:
        return "alive"

    @app.get(ROOT + "/{sweep}/events")
    async def events() -> str:
        return "events"

    app.add_middleware(Crowd, most=20)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
        waiting = [asyncio.create_task(api.get("/slow")) for _ in range(20)]
        await anyio.wait_all_tasks_blocked()
        refused = await api.get("/slow")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "2"
        assert "content-security-policy" in refused.headers
        assert refused.json()["title"] == "Not available now"
        assert (await api.get("/healthz")).status_code == 200
        assert (await api.get(f"{ROOT}/x/events")).status_code == 200
        for method, path in (("GET", "/presets/x/events"), ("POST", f"{ROOT}/x/events")):
            assert (await api.request(method, path)).status_code == 503, path
        going.set()
        assert {(await task).status_code for task in waiting} == {200}
        assert (await api.get("/slow")).status_code == 200


async def test_probes_that_hang_hold_up_no_request(served: Served, api: httpx.AsyncClient) -> None:
    """Nor is the process called dead: a store that hangs is no reason to end it."""
    over = threading.Event()

    def hang() -> Health:
        over.wait(90)
        return served.health

    served.app.state.seedbed = replace(served.app.state.seedbed, health=hang)
    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(api.get("/readyz")) for _ in range(THREADS + 10)]
            await anyio.wait_all_tasks_blocked()
            async with asyncio.timeout(30):
                for path in ("/healthz", ROOT):
                    assert (await api.get(path)).status_code == 200
            over.set()
    finally:
        over.set()
    assert {task.result().status_code for task in asked} == {200}


async def test_the_process_lives_while_all_threads_are_held(api: httpx.AsyncClient) -> None:
    threads = anyio.to_thread.current_default_thread_limiter()
    held = [object() for _ in range(THREADS)]
    for holder in held:
        await threads.acquire_on_behalf_of(holder)
    try:
        async with asyncio.timeout(30):
            assert (await api.get("/healthz")).json() == {"status": "alive"}
    finally:
        for holder in held:
            threads.release_on_behalf_of(holder)


async def test_who_takes_a_file_slowly_keeps_nobody_out() -> None:
    """Its room is given to others once the first piece is there, and once only."""
    app, going = FastAPI(), asyncio.Event()

    @app.get("/file")
    async def file() -> StreamingResponse:
        return StreamingResponse(iter([b"x", b"y"]))

    @app.get("/other")
    async def other() -> str:
        return "other"

    crowd = Crowd(app, most=ROOMS + 1)

    async def ask(path: str, *, slow: bool) -> int:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [],
        }
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            if slow and message.get("body"):
                await going.wait()

        await crowd(scope, receive, send)
        return status

    slow = [asyncio.create_task(ask("/file", slow=True)) for _ in range(ROOMS)]
    async with asyncio.timeout(30):
        await anyio.wait_all_tasks_blocked()
        assert await ask("/other", slow=False) == 200
        assert not any(task.done() for task in slow)
        going.set()
        assert [await task for task in slow] == [200] * ROOMS
    assert crowd._rooms._value == ROOMS


@pytest.fixture
def at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests of a test are of the same moment, as limits see it."""
    monkeypatch.setattr(choice, "LocalLimits", lambda rate: LocalLimits(rate, lambda: 1000.0))


@pytest.mark.usefixtures("at_one_moment")
async def test_who_asks_too_often_is_told_how_long_to_wait(sqlite: Engine, tmp_path: Path) -> None:
    with serving(sqlite, tmp_path, rate_limit=5) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=60, trust_env=False) as api:
            replies = [await api.get(ROOT) for _ in range(7)]
            assert [r.status_code for r in replies] == [200] * 5 + [429] * 2
            assert replies[0].headers["ratelimit-policy"] == '"requests";q=5;w=60'
            assert replies[0].headers["ratelimit"].startswith('"requests";r=4;t=')
            refused = replies[-1]
            assert int(refused.headers["retry-after"]) == 12
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["title"] == "Too many requests"
            assert "content-security-policy" in refused.headers
            assert (await api.get("/healthz")).status_code == 200
            assert "ratelimit" not in (await api.get("/healthz")).headers


@pytest.mark.usefixtures("at_one_moment")
async def test_each_key_has_a_limit_of_its_own(sqlite: Engine, tmp_path: Path) -> None:
    """Of one address, too."""
    keyed = Keyed(sqlite, tmp_path, {"rate_limit": 3})
    for name in ("ada", "eve"):
        async with keyed.client(keyed.key(name, "read")) as api:
            found = [(await api.get(ROOT)).status_code for _ in range(4)]
        assert found == [200, 200, 200, 429]


@pytest.mark.usefixtures("at_one_moment")
async def test_requests_that_are_refused_count_too(sqlite: Engine, tmp_path: Path) -> None:
    """Of a key that may not, and of an address that has none; a known key is not held to that."""
    keyed = Keyed(sqlite, tmp_path, {"rate_limit": 3})
    async with keyed.client(keyed.key("ada", "read")) as api:
        refused = [await api.post(ROOT, json=spec()) for _ in range(4)]
    assert [r.status_code for r in refused] == [403, 403, 403, 429]
    assert int(refused[-1].headers["retry-after"]) >= 1
    async with keyed.client("sb_" + "0" * 16 + "_" + "0" * 48) as api:
        assert [(await api.get(ROOT)).status_code for _ in range(4)] == [401, 401, 401, 429]
        assert (await api.get("/healthz")).status_code == 200
    async with keyed.client(keyed.key("eve", "read")) as api:
        assert (await api.get(ROOT)).status_code == 200


async def test_two_processes_keep_one_limit(
    sqlite: Engine, tmp_path: Path, redis_server: str
) -> None:
    buses = [RedisBus(redis_server), RedisBus(redis_server)]
    options = {"redis_url": redis_server, "rate_limit": 3}
    with (
        serving(sqlite, tmp_path, buses[0], **options) as one,
        serving(sqlite, tmp_path, buses[1], **options) as two,
    ):
        async with httpx.AsyncClient(timeout=60, trust_env=False) as api:
            await api.get(one.url + "/healthz")
            found = [
                (await api.get(url + ROOT)).status_code
                for _ in range(3)
                for url in (one.url, two.url)
            ]
        assert found == [200] * 3 + [429] * 3
    for bus in buses:
        bus.close()

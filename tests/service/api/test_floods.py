"""Over a real socket: fifty equal submissions at once, 100 MB in one body, masses of bad JSON."""

import asyncio
import random
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import Engine, func, select

from service.store.tables import cells, sweeps
from tests.service.samples import spec
from tests.service.serving import serving

pytestmark = pytest.mark.anyio
ROOT = "/api/v1/sweeps"
CLIENTS = 50
MALFORMED = 1000


async def test_fifty_clients_that_submit_the_same_at_once_make_one_sweep(
    engine: Engine, tmp_path: Path
) -> None:
    """One is told that it was created, all get the same sweep; another body meets 409."""
    headers = {"Idempotency-Key": "all of us"}
    with serving(engine, tmp_path, rate_limit=0) as served:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(
            base_url=served.url, limits=limits, timeout=60, trust_env=False
        ) as client:
            asked = (client.post(ROOT, json=spec(), headers=headers) for _ in range(CLIENTS))
            replies = await asyncio.gather(*asked)
            other = await client.post(ROOT, json=spec(seeds=8), headers=headers)
    assert sorted({r.status_code for r in replies}) in ([200, 201], [201])
    assert len({r.json()["id"] for r in replies}) == 1
    assert other.status_code == 409
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(sweeps)) == 1
        assert connection.scalar(select(func.count()).select_from(cells)) == 4


async def test_a_body_of_100_mb_is_cut_off_and_costs_no_memory(
    sqlite: Engine, tmp_path: Path
) -> None:
    """Declared, it is refused before it is sent; undeclared, once it is too long."""
    with serving(sqlite, tmp_path, rate_limit=0) as served:
        declared = await asyncio.to_thread(sent, served.url, f"Content-Length: {100 * 2**20}", b"")
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        streamed = await asyncio.to_thread(sent, served.url, "Transfer-Encoding: chunked", chunk)
        async with httpx.AsyncClient(base_url=served.url, trust_env=False) as client:
            assert (await client.get(ROOT)).status_code == 200
    assert b" 413 " in declared.split(b"\r\n", 1)[0]
    assert b" 413 " in streamed.split(b"\r\n", 1)[0]


def sent(url: str, length: str, chunk: bytes) -> bytes:
    """Sends up to 100 MB, as long as anybody reads; the beginning of the answer."""
    where = urlsplit(url)
    assert where.port is not None
    with socket.create_connection(("127.0.0.1", where.port), 20) as connection:
        head = f"POST {ROOT} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}{length}\r\n\r\n".encode())
        answer = b""
        connection.setblocking(False)
        for _ in range(1600 if chunk else 0):
            try:
                answer = connection.recv(4096)
                break
            except BlockingIOError:
                pass
            connection.settimeout(20)
            try:
                connection.sendall(chunk)
            except (BrokenPipeError, ConnectionResetError):
                break
            connection.setblocking(False)
        connection.settimeout(20)
        return answer or connection.recv(4096)


async def test_malformed_json_by_the_thousand_is_refused_each_time(
    sqlite: Engine, tmp_path: Path
) -> None:
    """A sound spec with bytes cut, doubled or changed: never a 5xx, and it says what is wrong."""
    dice = random.Random(5)
    sound = httpx.Request("POST", "http://x", json=spec()).content
    kind = {"Content-Type": "application/json"}
    with serving(sqlite, tmp_path, rate_limit=0) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=60, trust_env=False) as client:
            for _ in range(MALFORMED // 20):
                bodies = [spoilt(sound, dice) for _ in range(20)]
                asked = (
                    client.post(f"{ROOT}?dry_run=true", content=body, headers=kind)
                    for body in bodies
                )
                for body, reply in zip(bodies, await asyncio.gather(*asked), strict=True):
                    assert reply.status_code in (200, 400, 413, 422), (body, reply.text)
                    if reply.status_code != 200:
                        assert reply.headers["content-type"] == "application/problem+json"
                        assert reply.json()["cure"], body
            assert (await client.get(ROOT)).status_code == 200


def spoilt(body: bytes, dice: random.Random) -> bytes:
    """Cut short, or with some bytes that do not belong there."""
    if dice.random() < 0.3:
        return body[: dice.randrange(len(body))]
    found = bytearray(body)
    for _ in range(dice.randrange(1, 6)):
        found[dice.randrange(len(found))] = dice.randrange(256)
    return bytes(found)

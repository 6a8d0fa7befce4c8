"""What nobody should send, sent to a real server: it answers 4xx, holds no memory, and goes on."""

import contextlib
import json
import random
import resource
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import Engine

from service.api import body as body_module
from service.api.body import MOST_BYTES
from service.api.source import MOST_HEADER_BYTES, MOST_TARGET_BYTES
from tests.service.samples import spec
from tests.service.serving import serving

SWEEPS = "/api/v1/sweeps"
HUGE = 100 * 2**20
JSON = {"Content-Type": "application/json"}


def pour(url: str, head: str, chunks: int) -> tuple[int, bytes]:
    """Sends a head and MiB after MiB until the server has enough: what it took, and said."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    sent, said = 0, b""
    with socket.create_connection((host, port), timeout=60) as connection:
        try:
            connection.sendall(head.encode())
            for _ in range(chunks):
                block = b"x" * 2**20
                if "chunked" in head:
                    block = b"100000\r\n" + block + b"\r\n"
                connection.sendall(block)
                sent += len(block)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while part := connection.recv(65536):
                said += part
        except ConnectionResetError:
            pass  # what it said before is there
    return sent, said


@pytest.mark.parametrize("how", [f"Content-Length: {HUGE}", "Transfer-Encoding: chunked"])
def test_a_body_of_100_mb_is_refused_without_being_read_or_held(
    sqlite: Engine, tmp_path: Path, how: str
) -> None:
    head = (
        f"POST {SWEEPS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"{how}\r\n\r\n"
    )
    with serving(sqlite, tmp_path) as served:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sent, said = pour(served.url, head, HUGE // 2**20)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert said.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in said.lower()
        assert sent < HUGE / 4, "it was read to its end"
        assert grown < 24 * 1024, "it was held"  # KiB; this test's own blocks with it
        assert httpx.get(f"{served.url}/healthz", timeout=60).status_code == 200


def test_malformed_json_by_the_thousand_is_refused_each_time(
    sqlite: Engine, tmp_path: Path
) -> None:
    """Cut short, with bytes changed, doubled or put in; what happens to be a spec is one."""
    dice = random.Random(5)
    good = json.dumps(spec()).encode()
    with serving(sqlite, tmp_path) as served, httpx.Client(base_url=served.url, timeout=60) as api:
        for _ in range(1500):
            body = bytearray(good)
            for _ in range(dice.randint(1, 4)):
                at = dice.randrange(len(body))
                match dice.randrange(4):
                    case 0:
                        del body[at:]
                    case 1:
                        body[at] = dice.randrange(256)
                    case 2:
                        body[at:at] = body[: dice.randrange(len(body))]
                    case _:
                        body[at:at] = dice.randbytes(dice.randint(1, 9))
                if not body:
                    break
            reply = api.post(f"{SWEEPS}?dry_run=true", content=bytes(body), headers=JSON)
            assert reply.status_code in (200, 400, 413, 422), body
            if not reply.is_success:
                assert reply.headers["content-type"] == "application/problem+json"
                assert reply.json()["cure"], body
        assert api.get(SWEEPS).json()["items"] == []


def test_headers_and_urls_that_are_too_long_are_refused(sqlite: Engine, tmp_path: Path) -> None:
    with serving(sqlite, tmp_path) as served, httpx.Client(base_url=served.url, timeout=60) as api:
        many = {f"X-{i}": "y" * 1000 for i in range(MOST_HEADER_BYTES // 1000 + 1)}
        assert api.get("/healthz", headers=many).status_code == 431
        assert api.get("/healthz?" + "q" * MOST_TARGET_BYTES).status_code == 414
        enormous = {f"X-{i}": "y" * 1000 for i in range(200)}
        try:
            status = api.get("/healthz", headers=enormous).status_code
            assert 400 <= status < 500
        except httpx.TransportError:
            pass  # cut off while it was still sending
        assert api.get("/healthz").status_code == 200


def test_clients_that_send_slowly_hold_up_nobody_and_are_cut_off(
    sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than there are rooms: a body is waited for outside, and not for ever."""
    head = (
        f"POST {SWEEPS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {MOST_BYTES}\r\n\r\n"
    ).encode()
    with serving(sqlite, tmp_path) as served:
        where = (urlsplit(served.url).hostname, urlsplit(served.url).port)
        for most_s in (600.0, 0.5):
            monkeypatch.setattr(body_module, "MOST_S", most_s)
            with contextlib.ExitStack() as ends:
                slow = [
                    ends.enter_context(socket.create_connection(where, timeout=60))
                    for _ in range(100)
                ]
                for connection in slow:
                    connection.sendall(head + b"{")
                if most_s > 60:  # they are all still waited for
                    assert httpx.get(f"{served.url}{SWEEPS}", timeout=60).status_code == 200
                    continue
                for connection in slow:
                    assert connection.recv(100).startswith(b"HTTP/1.1 408 ")

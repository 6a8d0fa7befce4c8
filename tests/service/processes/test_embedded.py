"""The service in one process: how it ends."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request

from service.configuration import Configuration
from service.processes import binding, dispatcher, embedded, signals


@contextlib.contextmanager
def stalled() -> Iterator[None]:
    """Serves a client that never sends the rest of its request."""
    app, reached = FastAPI(), threading.Event()

    @app.post("/")
    async def slow(request: Request) -> None:
        reached.set()
        await request.body()

    listener = binding.bind("127.0.0.1", 0)
    with (
        contextlib.closing(socket.socket()) as client,
        binding.listening(app, listener),
    ):
        client.connect(listener.getsockname())
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nfour")
        assert reached.wait(60)
        yield


def test_a_client_that_stalls_does_not_keep_the_service_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(binding, "GRACE_S", 1)
    with stalled():
        began = time.monotonic()
    assert time.monotonic() - began < 60  # it would never end


class Interrupted:
    """A pool whose start the person at the terminal interrupts so many times."""

    times = 1
    stopped = 0

    def __init__(self, size: int, *_: Any, **__: Any) -> None:
        self.size = size

    def start(self) -> None:
        for _ in range(self.times):
            signal.raise_signal(signal.SIGINT)

    def stop(self) -> None:
        type(self).stopped += 1


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> type[Interrupted]:
    """In the place of Ray."""

    class Pool(Interrupted):
        pass

    monkeypatch.setattr(dispatcher, "Pool", Pool)
    return Pool


def test_one_interrupt_ends_the_service_cleanly(pool: type[Interrupted], tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    embedded.serve(Configuration(state_folder=tmp_path, port=0))
    assert pool.stopped == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_still_stops_the_pool(pool: type[Interrupted], tmp_path: Path) -> None:
    pool.times = 2
    with pytest.raises(KeyboardInterrupt):
        embedded.serve(Configuration(state_folder=tmp_path, port=0))
    assert pool.stopped == 1
    assert all(thread.name != "api" for thread in threading.enumerate())


def test_a_second_interrupt_does_not_wait_for_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the API ends, it cuts its clients off."""
    ending, stop = threading.Event(), threading.Event()

    class Ending(binding.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            ending.set()
            await super().shutdown(sockets)

    def interrupt() -> None:
        assert ending.wait(60)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(binding, "GRACE_S", 600)
    monkeypatch.setattr(binding, "Server", Ending)
    stop.set()
    interrupter = threading.Thread(target=interrupt)
    with signals.handlers(stop), pytest.raises(KeyboardInterrupt), stalled():
        interrupter.start()
    interrupter.join(60)
    for thread in [t for t in threading.enumerate() if t.name == "api"]:
        thread.join(60)
        assert not thread.is_alive()

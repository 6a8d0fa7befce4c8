"""Redis dies, hangs and returns: nobody waits for it, nothing is restarted, two lines say so."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from structlog.testing import capture_logs

from service.bus import EVERY_SWEEP, WAKE, Message, sweep_topic
from service.bus.redis import RedisBus, _pause_s
from tests.redis_server import RedisServer

WAIT_S = 30


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of the test's own, to be shot at."""
    with RedisServer() as found:
        yield found


def until(true: Callable[[], bool], limit_s: float = WAIT_S) -> None:
    """Polls until something holds."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"not so after {limit_s} s"
        time.sleep(0.02)


def test_a_server_that_is_killed_and_returns_is_used_again_by_all(server: RedisServer) -> None:
    """Publishing goes on at once meanwhile, and says the newest when the server is back."""
    with capture_logs() as logs:
        publisher, listener = RedisBus(server.url), RedisBus(server.url)
        with listener.subscribe(WAKE, EVERY_SWEEP) as heard:
            publisher.publish(WAKE, {"n": 1})
            assert heard.next(WAIT_S) == Message(WAKE, {"n": 1})
            server.kill()
            until(lambda: not listener.link.up)
            began = time.monotonic()
            for n in range(10_000):
                publisher.publish(sweep_topic("a"), {"n": n})
            assert time.monotonic() - began < WAIT_S
            until(lambda: not publisher.link.up)
            server.start()
            until(lambda: publisher.link.up and listener.link.up)
            until(lambda: _subscribers(server) == 1)
            publisher.publish(WAKE, {"n": 2})
            found = [heard.next(WAIT_S)]
            while found[-1] != Message(WAKE, {"n": 2}):
                assert found[-1] is not None, found
                found.append(heard.next(WAIT_S))
        publisher.close()
        listener.close()
    events = [line["event"] for line in logs]
    assert sorted(events) == ["redis_back", "redis_back", "redis_lost", "redis_lost"], logs


def _subscribers(server: RedisServer) -> int:
    with Redis.from_url(server.url) as client:
        return int(client.pubsub_numpat())


def test_a_server_that_hangs_is_found_and_delays_nobody(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts and says nothing: the one that probes finds it, also when nothing is said."""
    monkeypatch.setattr("service.bus.redis.PROBE_S", 0.1)
    monkeypatch.setattr("service.bus.redis.TIMEOUT_S", 0.3)
    bus = RedisBus(server.url)
    with bus.subscribe(WAKE) as heard:
        os.kill(server.pid, signal.SIGSTOP)
        try:
            until(lambda: not bus.link.up)
            began = time.monotonic()
            for n in range(200):  # a minute, if each waited
                bus.publish(WAKE, {"n": n})
            assert time.monotonic() - began < WAIT_S
        finally:
            os.kill(server.pid, signal.SIGCONT)
        until(lambda: bus.link.up)
        deadline = time.monotonic() + WAIT_S
        while heard.next(0.2) is None:
            assert time.monotonic() < deadline
            bus.publish(WAKE, {"n": 2})
    bus.close()


def test_a_service_starts_while_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so once, and uses the server as soon as there is one."""
    monkeypatch.setattr("service.bus.redis.STANDS_S", 0.1)
    server = RedisServer()
    with capture_logs() as logs:
        bus = RedisBus(server.url)
        with bus.subscribe(WAKE) as heard:
            bus.publish(WAKE, {"n": 1})
            until(lambda: not bus.link.up)
            with server:
                until(lambda: bus.link.up)
                deadline = time.monotonic() + WAIT_S
                while heard.next(0.2) is None:
                    assert time.monotonic() < deadline
                    bus.publish(WAKE, {"n": 2})
                bus.close()
    assert [line["event"] for line in logs] == ["redis_lost", "redis_back"]


def test_a_wrong_password_stands_in_no_log(server: RedisServer) -> None:
    """Nor does the right one, wherever Redis refuses it."""
    with Redis.from_url(server.url) as client:
        client.config_set("requirepass", "r1ght-one")
    with capture_logs() as logs:
        bus = RedisBus(server.url.replace("redis://", "redis://:wr0ng-one@"))
        bus.publish(WAKE, {})
        until(lambda: not bus.link.up)
        bus.close()
    assert [line["event"] for line in logs] == ["redis_lost"]
    assert "wr0ng-one" not in repr(logs)
    assert "password" in logs[0]["error"]


def test_what_others_say_on_a_channel_is_refused_when_it_is_no_message(
    server: RedisServer,
) -> None:
    """And what comes after it is heard."""
    bus = RedisBus(server.url)
    with capture_logs() as logs, bus.subscribe(WAKE) as heard:
        with Redis.from_url(server.url) as client:
            for rubbish in (b"\x80\x04pickle", b"[1]", b"{", b"x" * 100_000):
                client.publish("seedbed:wake", rubbish)
        bus.publish(WAKE, {"n": 1})
        assert heard.next(WAIT_S) == Message(WAKE, {"n": 1})
    bus.close()
    assert [line["event"] for line in logs] == ["message_refused"] * 4


def test_a_subscription_that_is_refused_for_days_still_tries() -> None:
    """The pause doubles to its longest and stays there; its thread would else end."""
    assert [_pause_s(n) for n in (1, 2, 6, 7, 1025, 10**6)] == [0.5, 1.0, 16.0, 30.0, 30.0, 30.0]

"""Limits: nobody is refused within them, nobody goes beyond them, and processes count together."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bus.limits import (
    MOST_CALLERS,
    WINDOW_S,
    Limits,
    LocalLimits,
    Rate,
    taken,
    verdict,
)
from service.bus.link import Link
from service.bus.shared_limits import SharedLimits
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio
FEW = Rate(5)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["local", "redis"])
async def limits(request: pytest.FixtureRequest) -> AsyncIterator[Limits]:
    """Each; Redis is a real server, emptied."""
    found: Limits
    if request.param == "local":
        found = LocalLimits(FEW)
    else:
        url = request.getfixturevalue("redis_server")
        found = SharedLimits(FEW, url, Link(url))
        await found._client.flushall()
    yield found
    await found.close()


async def test_so_many_are_allowed_and_the_next_is_told_how_long_to_wait(limits: Limits) -> None:
    began = time.monotonic()
    seen = [await limits.take("ada") for _ in range(7)]
    passed_s = time.monotonic() - began + 0.01  # Redis has its own clock
    assert [v.allowed for v in seen] == [True] * 5 + [False] * 2
    assert [v.remaining for v in seen] == [4, 3, 2, 1, 0, 0, 0]
    assert FEW.interval_s - passed_s < seen[5].retry_s <= FEW.interval_s == 12
    assert WINDOW_S - passed_s < seen[5].full_s <= WINDOW_S


async def test_callers_are_counted_apart(limits: Limits) -> None:
    for _ in range(5):
        await limits.take("ada")
    assert not (await limits.take("ada")).allowed
    assert (await limits.take("eve")).allowed


async def test_a_hundred_at_once_are_counted_one_by_one(limits: Limits) -> None:
    found = await asyncio.gather(*(limits.take("ada") for _ in range(100)))
    assert sum(v.allowed for v in found) == 5


GAPS = st.lists(st.floats(0, 40, allow_nan=False), min_size=1, max_size=80)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 20), GAPS)
def test_whoever_keeps_to_the_rate_in_every_minute_is_never_refused(
    requests: int, gaps: list[float]
) -> None:
    rate, moment, now = Rate(requests), 0.0, 0.0
    asked: list[float] = []
    for gap in gaps:
        now += gap
        if len([t for t in asked if now - t < WINDOW_S]) < requests:
            asked.append(now)
            allowed, moment = taken(rate, moment, now)
            assert allowed


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 20), GAPS)
def test_nobody_has_twice_the_rate_in_any_minute(requests: int, gaps: list[float]) -> None:
    """However often they ask; over longer it is the rate."""
    rate, moment, now = Rate(requests), 0.0, 0.0
    had: list[float] = []
    for gap in gaps:
        now += gap / 40
        for _ in range(3):
            allowed, moment = taken(rate, moment, now)
            had += [now] if allowed else []
        assert len([t for t in had if now - t < WINDOW_S]) <= 2 * requests
    assert len(had) <= requests * (1 + now / WINDOW_S) + 1


async def test_waiting_as_told_is_enough() -> None:
    now = 1000.0
    limits = LocalLimits(FEW, lambda: now)
    for _ in range(5):
        await limits.take("ada")
    refused = await limits.take("ada")
    now += refused.retry_s + 1e-6
    assert (await limits.take("ada")).allowed
    assert not (await limits.take("ada")).allowed
    now += 2 * WINDOW_S
    assert [(await limits.take("ada")).allowed for _ in range(6)] == [True] * 5 + [False]


async def test_callers_without_number_take_bounded_room() -> None:
    limits = LocalLimits(FEW)
    for n in range(MOST_CALLERS + 10):
        await limits.take(str(n))
    assert len(limits._moments) == MOST_CALLERS


async def test_two_processes_count_together_and_each_alone_while_redis_is_away() -> None:
    """Nobody is refused, and nothing fails, because Redis died; afterwards they count anew."""
    with RedisServer() as server:
        links = [Link(server.url), Link(server.url)]
        one, two = (SharedLimits(FEW, server.url, link) for link in links)
        assert all([(await one.take("ada")).allowed for _ in range(3)])
        assert [(await two.take("ada")).allowed for _ in range(3)] == [True, True, False]
        server.kill()
        assert [(await one.take("ada")).allowed for _ in range(6)] == [True] * 5 + [False]
        assert [(await two.take("ada")).allowed for _ in range(6)] == [True] * 5 + [False]
        assert not links[0].up
        server.start()
        for link in links:
            link.back()
        assert all([(await two.take("ada")).allowed for _ in range(5)])
        assert not (await one.take("ada")).allowed
        await one.close()
        await two.close()


def test_a_high_rate_is_counted_exactly() -> None:
    """A hundred thousand a minute, all at once."""
    rate, moment = Rate(100_000), 0.0
    count = 0
    while True:
        ok, moment = taken(rate, moment, 5.0)
        if not ok:
            break
        count += 1
    assert count == 100_000
    assert verdict(rate, allowed=False, ahead_s=moment - 5.0).remaining == 0

"""Server-sent events: what is so of a sweep now, told when it changes, until the sweep has ended.

A stream has no backlog: it begins with what is so, and then tells the newest. An event's id names
the counters that it told, and a client that comes back with the id it has last is told what is
newer, or nothing, by whichever process it asks.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.access.principal import Scope
from service.api.feed import Feed, Look
from service.api.identity import PrincipalDep
from service.api.permits import Permit
from service.api.state import StateDep

router = APIRouter(prefix="/sweeps", tags=["sweeps"])

#: a client whose stream broke comes back after so long
RETRY_MS = 2000
#: a stream that has nothing to tell looks this often whether it may go on
LOOK_S = 1.0


async def followed(sweep: str, state: StateDep) -> AsyncIterator[Feed]:
    """The feed of a sweep and a place among the streams, for as long as the reply takes."""
    with state.streams.place():
        async with state.streams.follow(sweep) as feed:
            yield feed


async def permitted(state: StateDep, principal: PrincipalDep) -> AsyncIterator[Permit]:
    """What the caller may follow by, for as long as the reply takes."""
    async with state.permits.of(principal, Scope.READ) as permit:
        yield permit


@router.get("/{sweep}/events", response_class=EventSourceResponse)
async def events(
    feed: Annotated[Feed, Depends(followed)],
    permit: Annotated[Permit, Depends(permitted)],
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Events `state`, `progress`, `telemetry`, and `end` when the sweep has ended.

    `progress` is what GET progress answers. Nothing here tells an outcome before its cohort is
    settled. It ends within seconds once the caller's key, log-in or token opens it no more.
    """
    yield ServerSentEvent(comment="Seedbed", retry=RETRY_MS)
    told: Look | None = None
    heading: dict[str, Any] | None = None
    telemetry: Mapping[str, Any] | None = None
    seen = -1
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await feed.after(seen)
        if permit.over:
            return
        seen, now = feed.number, feed.now
        if told is None and now is not None and now.id == last_event_id:
            told, heading = now, now.heading
        if now is not None and now.heading != heading:
            heading = now.heading
            yield ServerSentEvent(event="state", data=heading)
        now = feed.now  # each time anew: while the client took the last, there may have been news
        if now is not None and now.text and now != told and not permit.over:
            told = now
            yield ServerSentEvent(event="progress", raw_data=now.text, id=now.id)
        fresh = feed.telemetry is not None and feed.telemetry is not telemetry
        if fresh and not permit.over:
            telemetry = feed.telemetry
            yield ServerSentEvent(event="telemetry", data=telemetry)
        if feed.over and seen == feed.number:
            if feed.now is not None and feed.now.over and not permit.over:
                yield ServerSentEvent(event="end", data=feed.now.heading)
            return

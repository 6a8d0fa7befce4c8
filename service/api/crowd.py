"""Has many requests at once wait in line for few rooms, so that no busy hour is an error.

A request holds a thread at times and connections of the store between, and asks for the one while
it holds the other. Were more let in than there are of both, those inside could wait for each other
until a time limit made errors of them. So no more are let in, and the line is here, where a request
holds nothing yet. What takes long has rooms of its own, and never all of them; a body is waited for
outside (service.api.safety), and so is whoever takes a file in pieces: those who send or read
slowly keep nobody out.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from service.api.limits import ALIVE, PROBES
from service.api.refusal import Receive, Refusal, Scope, Send, refuse
from service.api.room import ROOM
from service.api.safety import with_safe_headers

#: requests that are worked on at once, and of those that read whole sweeps or ask storage
ROOMS = 16
LONG_ROOMS = 4
#: of each probe at once: a store that hangs holds their threads, and none that requests need
PROBE_ROOMS = 2
#: each may hold two connections of the store at once, one that reads and one that writes
CONNECTIONS = 2 * (ROOMS + LONG_ROOMS)
#: where whole sweeps are read, or storage is waited for
_LONG = ("/report", "/audit", "/compare", "/findings", "/weights")
#: the route of streams, which have places of their own
_STREAM = re.compile(r"/api/v1/sweeps/[^/]+/events")
#: who finds the line full comes back after so long
RETRY_AFTER_S = 2


class Crowd:
    """ASGI middleware, before anything of a request is read.

    Args:
        app: what comes after it.
        most: requests in this process at once, those in line included.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], most: int) -> None:
        self._app = app
        self._most = most
        self._here = 0
        self._rooms = asyncio.Semaphore(ROOMS)
        self._long_rooms = asyncio.Semaphore(LONG_ROOMS)
        self._probe_rooms = {path: asyncio.Semaphore(PROBE_ROOMS) for path in PROBES - {ALIVE}}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request in when there is room."""
        path = scope.get("path", "")
        streams = scope.get("method") == "GET" and _STREAM.fullmatch(path)
        if scope["type"] != "http" or path == ALIVE or streams:
            await self._app(scope, receive, send)
            return
        if path in self._probe_rooms:
            scope[ROOM] = self._probe_rooms[path]
            async with scope[ROOM]:
                await self._app(scope, receive, send)
            return
        if self._here >= self._most:
            await refuse(
                with_safe_headers(scope, send),
                Refusal(
                    503,
                    f"{self._most:,} requests are being answered or wait in line here, and no more "
                    "do at once; nothing was done",
                    f"ask again in {RETRY_AFTER_S} s; more API processes answer more",
                    retry_after=str(RETRY_AFTER_S),
                ),
            )
            return
        self._here += 1
        rooms = self._long_rooms if path.endswith(_LONG) else self._rooms
        try:
            await rooms.acquire()
            inside = True

            async def leaving(message: dict[str, Any]) -> None:
                nonlocal inside
                if inside and message.get("more_body", False):  # a file: the store is done with
                    inside = False
                    rooms.release()
                await send(message)

            try:
                scope[ROOM] = rooms
                await self._app(scope, receive, leaving)
            finally:
                if inside:
                    rooms.release()
        finally:
            self._here -= 1

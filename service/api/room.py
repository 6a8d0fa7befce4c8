"""The room that a request has (service.api.crowd), which others use while it waits for no store."""

import contextlib
from collections.abc import AsyncIterator

from service.api.refusal import Scope

#: where in a request's scope the rooms are of which it has one
ROOM = "seedbed.room"


@contextlib.asynccontextmanager
async def lent(scope: Scope) -> AsyncIterator[None]:
    """Gives a request's room to others meanwhile, if it has one."""
    rooms = scope.get(ROOM)
    if rooms is None:
        yield
        return
    rooms.release()
    try:
        yield
    finally:
        await rooms.acquire()  # it is given back where it was taken first

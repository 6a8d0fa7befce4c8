"""Whether who follows a stream still may: asked again while it is open, once for all of a caller.

A request is judged when it comes, and a stream is one request for hours. What it costs is a look at
the store every few seconds, for each key or log-in that follows any.
"""

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.access.keyring import BadKeyError
from service.access.principal import Principal, Scope

#: a caller is judged again this often
AGAIN_S = 3.0

log = structlog.get_logger()


@dataclass
class Permit:
    """What a caller may follow by; `over` once they may no more."""

    over: bool = False


@dataclass
class _Watched:
    """A permit, and how many streams go by it."""

    permit: Permit
    task: asyncio.Task[None]
    streams: int = 0


class Permits:
    """The permits of one application; of one event loop.

    Args:
        still: who a caller is by now; raises BadKeyError of whom nobody knows any more. None where
            nobody is asked.
    """

    def __init__(self, still: Callable[[Principal], Awaitable[Principal]] | None) -> None:
        self._still = still
        self._watched: dict[tuple[Principal, Scope], _Watched] = {}

    @contextlib.asynccontextmanager
    async def of(self, principal: Principal, needed: Scope) -> AsyncIterator[Permit]:
        """The permit of a caller whom the guard has let in, who needs this scope."""
        if self._still is None:
            yield Permit()
            return
        which = principal, needed
        entry = self._watched.get(which)
        if entry is None or entry.permit.over:
            permit = Permit()
            watch = self._watch(permit, principal, needed, self._still)
            context = contextvars.Context()  # of no request: it outlives the one that begins it
            task = asyncio.create_task(watch, context=context)
            entry = self._watched[which] = _Watched(permit, task)
        entry.streams += 1
        try:
            yield entry.permit
        finally:
            entry.streams -= 1
            if not entry.streams:
                entry.task.cancel()
                if self._watched.get(which) is entry:
                    del self._watched[which]

    async def _watch(
        self,
        permit: Permit,
        principal: Principal,
        needed: Scope,
        still: Callable[[Principal], Awaitable[Principal]],
    ) -> None:
        """Asks again and again until the caller may no more."""
        while not permit.over:
            await asyncio.sleep(AGAIN_S)
            why = None
            try:
                if needed not in (await still(principal)).scopes:
                    why = f"scope {needed.value} was taken from {principal.name}"
            except BadKeyError as error:
                why = error.detail
            except SQLAlchemyError:
                continue  # who was revoked nobody can say now; who expired needs no store
            except Exception:
                log.exception("permit_failed", key=principal.key)
                why = "whether they still may could not be asked"
            if why is not None:
                permit.over = True
                log.info("streams_ended", principal=principal.name, key=principal.key, why=why)

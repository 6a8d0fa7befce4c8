"""Whether who follows a stream still may: asked again while it is open, once for all of a caller.

A request is judged when it comes, and a stream is one request for hours. What it costs is a look at
the store every few seconds, for each key or log-in that follows any.
"""

import asyncio
import contextlib
import contextvars
import time
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
            await asyncio.sleep(_pause_s(principal))
            why = await _ended(principal, needed, still)
            if why is not None:
                permit.over = True
                log.info("streams_ended", principal=principal.name, key=principal.key, why=why)


async def _ended(
    principal: Principal, needed: Scope, still: Callable[[Principal], Awaitable[Principal]]
) -> str | None:
    """Why a caller may follow no more; None while they may, or where the store cannot say.

    A store that hangs is asked once, and what expires meanwhile is over without it.
    """
    asked = asyncio.ensure_future(still(principal))
    try:
        answered, _ = await asyncio.wait({asked}, timeout=_left_s(principal))
    finally:
        asked.cancel()
    if not answered:
        return f"the key, log-in or token of {principal.name} has expired"
    try:
        found = asked.result()
    except BadKeyError as error:
        return error.detail
    except SQLAlchemyError:
        return None
    except Exception:
        log.exception("permit_failed", key=principal.key)
        return "whether they still may could not be asked"
    if needed not in found.scopes:
        return f"scope {needed.value} was taken from {principal.name}"
    return None


def _pause_s(principal: Principal) -> float:
    left_s = _left_s(principal)
    return AGAIN_S if left_s is None else min(AGAIN_S, left_s)


def _left_s(principal: Principal) -> float | None:
    """Until what a caller came with expires; None of what does not."""
    return None if principal.until_s is None else max(0.0, principal.until_s - time.time())

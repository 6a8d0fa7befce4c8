"""What no route foresaw, as a problem: the store is away or full, or the service is wrong."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from service.api.refusal import Receive, Refusal, Scope, Send, refuse
from service.store.faults import full, unreachable

log = structlog.get_logger()
#: seconds after which a store that was away may be asked again
RETRY_S = 5


class Faults:
    """ASGI middleware, the last before the routes: what answers them still gets all headers."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers where the application raised, unless it has begun to answer itself."""
        begun = False

        async def watched(message: dict[str, Any]) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            await refuse(send, _refusal(scope, error))


def _refusal(scope: Scope, error: Exception) -> Refusal:
    if full(error):
        log.warning("store_full", path=scope["path"], error=str(error))
        return Refusal(
            507,
            "there is no room left on the store's disk; nothing was written, and nothing is lost",
            "free some disk where the store lies and ask again; the service goes on by itself",
            retry_after=str(RETRY_S),
        )
    if unreachable(error):
        log.warning("store_unreachable", path=scope["path"], error=str(error))
        return Refusal(
            503,
            "the store cannot be reached now; nothing was done",
            f"try again in {RETRY_S} s; GET /readyz says what is missing",
            retry_after=str(RETRY_S),
        )
    log.error("request_failed", path=scope["path"], exc_info=error)
    return Refusal(500, "the service failed on this request", "see the service's log")

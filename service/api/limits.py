"""Enforces the rate limit of whoever asks: 429 with what to wait for, before any route is asked.

A request that the guard refuses counts like any other: of a caller that it knows, or of an address.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any

from service.api.identity import PRINCIPAL, Principal
from service.api.refusal import Receive, Refusal, Scope, Send, refuse
from service.bus.limits import WINDOW_S, Limits, Verdict

#: whether the process lives, which needs nothing of it
ALIVE = "/healthz"
#: what watches the service must see it when it is busiest
PROBES = frozenset({ALIVE, "/readyz", "/metrics"})


class Limited:
    """ASGI middleware behind the guard, which says who asks.

    Args:
        app: what comes after it.
        limits: what counts; None where there is no limit.
    """

    def __init__(
        self, app: Callable[[Scope, Receive, Send], Awaitable[None]], limits: Limits | None
    ) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts one request."""
        if self._limits is None or scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        found = await self._limits.take(caller(scope, scope[PRINCIPAL]))
        headers = told(self._limits, found)

        async def with_limit(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                named = [(k.encode(), v.encode()) for k, v in headers.items()]
                message = {**message, "headers": [*message.get("headers", []), *named]}
            await send(message)

        if found.allowed:
            await self._app(scope, receive, with_limit)
            return
        await refuse(with_limit, too_many(self._limits, found))


async def count_refused(limits: Limits | None, scope: Scope, who: Principal) -> None:
    """Counts a request that is about to be refused.

    Raises:
        Refusal: 429, in its stead: there were too many.
    """
    if limits is None or scope["path"] in PROBES:
        return
    found = await limits.take(caller(scope, who))
    if not found.allowed:
        raise too_many(limits, found)


def too_many(limits: Limits, found: Verdict) -> Refusal:
    """What whoever asks too often is told."""
    wait_s = max(1, math.ceil(found.retry_s))
    most = limits.rate.requests
    return Refusal(
        429,
        f"more than {most:,} requests in a minute: {most:,} is the limit of each key, or of each "
        "address where there are no keys; nothing was done",
        f"wait {wait_s} s and ask again; `RateLimit` in every reply says what is left, and "
        "SEEDBED_RATE_LIMIT what it is",
        retry_after=str(wait_s),
    )


def caller(scope: Scope, who: Principal) -> str:
    """Whose requests are counted together: a key's, a log-in's, a token's owner's, an address's."""
    for kind, which in (("key", who.key), ("session", who.session), ("name", who.name)):
        if which:
            return f"{kind}:{which}"
    client = scope.get("client")
    return f"address:{client[0] if client else 'unknown'}"


def told(limits: Limits, found: Verdict) -> dict[str, str]:
    """The limit and what is left of it, as draft-ietf-httpapi-ratelimit-headers has them."""
    return {
        "ratelimit-policy": f'"requests";q={limits.rate.requests};w={WINDOW_S}',
        "ratelimit": f'"requests";r={found.remaining};t={math.ceil(found.full_s)}',
    }

"""Refuses unsafe requests before anything parses them: foreign hosts and origins, types, sizes."""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from service.api.body import judge_body, judge_form, read_body
from service.api.guard import Guard
from service.api.proxied import Network, believe
from service.api.refusal import Receive, Refusal, Scope, Send, refuse
from service.api.room import lent
from service.api.source import NAMES, judge_length, judge_source, judge_target

_HEADERS = [
    (
        b"content-security-policy",
        (
            b"default-src 'none'; style-src 'self'; script-src 'self'; "
            b"connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
            b"frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # without it browsers hide a form's Origin
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]

#: over https: browsers come by https alone for a year
_STRICT = (b"strict-transport-security", b"max-age=31536000")
#: what the dashboard's forms are sent to: they are no JSON, and judged by their Origin
_FORMS = frozenset({"/login", "/logout"})


def with_safe_headers(scope: Scope, send: Send) -> Send:
    """Sends the same, with every header of safety that is not there."""
    always = [*_HEADERS, _STRICT] if scope["scheme"] == "https" else _HEADERS

    async def guarded(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            present = {name for name, _ in message.get("headers", [])}
            extra = [h for h in always if h[0] not in present]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return guarded


class Safety:
    """ASGI middleware; the whole body is read and judged here, and only then handed on.

    Args:
        app: what comes after it.
        guard: who may come in.
        names: that the service answers to, besides loopback's.
        outside: whether it listens on an address that others reach.
        trusted: proxies that are believed.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        guard: Guard,
        names: Iterable[str] = (),
        *,
        outside: bool = False,
        trusted: Sequence[Network] = (),
    ) -> None:
        self._app = app
        self._guard = guard
        self._names = NAMES | frozenset(names)
        self._outside = outside
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judges one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        believe(scope, headers, self._trusted)
        guarded = with_safe_headers(scope, send)
        try:
            judge_length(scope["headers"], scope["path"], scope["query_string"])
            judge_source(headers, self._names, self._own(scope))
            judge_target(scope["path"], scope["query_string"])
            await self._guard.admit(scope, headers)
            sends = {"content-length", "transfer-encoding"} & headers.keys()
            async with lent(scope) if sends else contextlib.nullcontext():
                body = await read_body(receive, headers)
            if scope["method"] == "POST" and scope["path"] in _FORMS:
                judge_form(headers, body)
            elif body or scope["method"] in ("POST", "PATCH"):
                judge_body(headers, body)
        except Refusal as refusal:
            await refuse(guarded, refusal)
            return
        sent = False

        async def replay() -> dict[str, Any]:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, guarded)

    def _own(self, scope: Scope) -> str | None:
        """The address that a request came in at, where that is not loopback alone."""
        server = scope.get("server")
        return str(server[0]) if self._outside and server else None

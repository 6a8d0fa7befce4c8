"""Refuses unsafe requests before anything parses them: foreign hosts and origins, types, sizes."""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from service.errors import MEDIA_TYPE, encoded

MOST_BYTES = 1 << 20
MOST_DEPTH = 16
#: headers that carry what the service would not check
CREDENTIALS = ("authorization", "x-api-key", "api-key")
_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
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
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Refusal(Exception):  # noqa: N818 - a verdict, not a fault
    """A request that goes no further."""

    def __init__(self, status: int, detail: str, cure: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.cure = status, detail, cure


class Safety:
    """ASGI middleware; the whole body is read and judged here, and only then handed on."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judges one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message.get("headers", [])}
                extra = [h for h in _HEADERS if h[0] not in present]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        try:
            headers = {
                k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]
            }
            judge_source(headers)
            judge_target(scope["path"], scope["query_string"])
            judge_credentials(headers)
            body = await read_body(receive, headers)
            if body or scope["method"] in ("POST", "PATCH"):
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


def judge_source(headers: dict[str, str]) -> None:
    """Host and Origin must be names that the service is bound to, so no web page can reach it.

    Raises:
        Refusal: 403, naming the header.
    """
    host = headers.get("host", "")
    if _name(f"//{host}") not in _NAMES:
        raise Refusal(
            403,
            f"the Host header is {host!r}; the service answers to its loopback names only",
            "use http://127.0.0.1 or http://localhost",
        )
    origin = headers.get("origin")
    if origin is not None and (_name(origin) not in _NAMES or urlsplit(origin).netloc != host):
        raise Refusal(
            403,
            f"the Origin header is {origin!r}; pages of other sites may not call the service",
            "use the service's own pages, or send no Origin",
        )


def judge_target(path: str, query: bytes) -> None:
    """A NUL is in no name, and PostgreSQL refuses to be asked for one.

    Raises:
        Refusal: 404 of a path, 422 of a query.
    """
    rule, cure = "no name or id holds a NUL character", "leave %00 out"
    if "\x00" in path:
        raise Refusal(404, f"there is nothing at {path!r}: {rule}", cure)
    if b"\x00" in unquote_to_bytes(query):
        raise Refusal(422, f"the query is {query.decode('latin-1')!r}: {rule}", cure)


def judge_credentials(headers: dict[str, str]) -> None:
    """Who sends a key believes that it is checked.

    Raises:
        Refusal: 501, naming the header.
    """
    for name in CREDENTIALS:
        if name in headers:
            raise Refusal(
                501,
                f"the request carries credentials in its {name} header; API keys are not built "
                "yet, and the service would not check them",
                f"send no {name}; the service answers on loopback only, without keys",
            )


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


async def read_body(receive: Receive, headers: dict[str, str]) -> bytes:
    """The body, counted while it comes, whatever its declared length.

    Raises:
        Refusal: 413 when it is too long.
    """
    too_long = Refusal(
        413,
        f"the body is longer than {MOST_BYTES:,} bytes, the most a request may hold",
        "send a smaller spec; a grid is written as lists, not as cells",
    )
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MOST_BYTES:
        raise too_long
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise too_long
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def judge_body(headers: dict[str, str], body: bytes) -> None:
    """Only JSON, also where there is no body: a page of another site can send no such type.

    And not too deep.

    Raises:
        Refusal: 415 or 422.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Refusal(
            415,
            f"the content type is {media or 'unknown'!r}; the service takes JSON only",
            "send Content-Type: application/json",
        )
    if depth(body) > MOST_DEPTH:
        raise Refusal(
            422,
            f"the body is nested deeper than {MOST_DEPTH} levels",
            "flatten it; no spec needs more",
        )


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def depth(body: bytes) -> int:
    """The deepest nesting of brackets outside strings."""
    deepest = level = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


async def refuse(send: Send, refusal: Refusal) -> None:
    """Answers with a problem."""
    body = encoded(refusal.status, refusal.detail, refusal.cure)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

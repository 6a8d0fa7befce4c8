"""A request that goes no further, and its answer, before any route is found."""

from collections.abc import Awaitable, Callable
from typing import Any

from service.errors import MEDIA_TYPE, encoded

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Refusal(Exception):  # noqa: N818 - a verdict, not a fault
    """A request that goes no further."""

    def __init__(self, status: int, detail: str, cure: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.cure = status, detail, cure


async def refuse(send: Send, refusal: Refusal) -> None:
    """Answers with a problem."""
    body = encoded(refusal.status, refusal.detail, refusal.cure)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""A request that goes no further, and its answer, before any route is found."""

from collections.abc import Awaitable, Callable
from typing import Any

from service.errors import MEDIA_TYPE, encoded

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Refusal(Exception):  # noqa: N818 - a verdict, not a fault
    """A request that goes no further."""

    def __init__(self, status: int, detail: str, cure: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.cure = status, detail, cure
        self.page: str | None = None  # for a person with a browser, instead of a problem
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


async def refuse(send: Send, refusal: Refusal) -> None:
    """Answers with a problem, or with the page that there is instead."""
    if refusal.page is None:
        body, media_type = encoded(refusal.status, refusal.detail, refusal.cure), MEDIA_TYPE
    else:
        body, media_type = refusal.page.encode(), "text/html; charset=utf-8"
    named = {"content-type": media_type, "content-length": str(len(body)), **refusal.headers}
    headers = [(name.encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Around every request: its id, its time, its line in the log; the first thing that sees it."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from opentelemetry.trace import get_current_span

from service.api.refusal import Receive, Scope, Send
from service.api.templates import Templates
from service.observe.requests import RequestMetrics

log = structlog.get_logger()

HEADER = "x-request-id"
#: a client's own id is taken if it can do no harm in a log or a header
_SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")
#: a request that takes so long is told of whatever came of it
SLOW_S = 1.0
_FAULT = 500
#: ASGI's status of an answer whose client went away before it began, as nginx has it
GONE = 499


class Observed:
    """ASGI middleware.

    Args:
        app: what comes after it.
        metrics: counts requests.
        templates: know the application's routes.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        metrics: RequestMetrics,
        templates: Templates,
    ) -> None:
        self._app = app
        self._templates = templates
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Observes one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, stream_s = time.monotonic(), GONE, None
        name = request_id(scope["headers"])

        async def heard(message: dict[str, Any]) -> None:
            nonlocal status, stream_s
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), (HEADER.encode(), name.encode())]
                message = {**message, "headers": headers}
                if (b"content-type", b"text/event-stream") in (
                    (key.lower(), value.partition(b";")[0]) for key, value in headers
                ):
                    stream_s = time.monotonic() - began
            await send(message)

        self._metrics.began()
        with structlog.contextvars.bound_contextvars(request_id=name):
            route = self._templates.of(scope["method"], scope["path"])
            get_current_span().set_attribute("seedbed.request_id", name)  # FastAPI's own, if any
            try:
                await self._app(scope, receive, heard)
            finally:
                seconds = time.monotonic() - began
                self._metrics.ended()
                took = seconds if stream_s is None else stream_s
                self._metrics.answered(scope["method"], route, status, took)
                _tell(scope, route, status, took)


def request_id(headers: list[tuple[bytes, bytes]]) -> str:
    """The client's id of a request if it is sane, otherwise a new one."""
    given = [value for name, value in headers if name.lower() == HEADER.encode()]
    if len(given) == 1 and _SANE.fullmatch(given[0]):
        return given[0].decode()
    return uuid.uuid4().hex


def _tell(scope: Scope, route: str | None, status: int, seconds: float) -> None:
    """One line: at info if it failed or was slow, otherwise at debug, which is off by default."""
    level = "info" if status >= _FAULT or seconds >= SLOW_S else "debug"
    fields = dict(scope.get("path_params", {}))
    getattr(log, level)(
        "request",
        method=scope["method"],
        route=route,
        status=status,
        ms=round(1000 * seconds, 1),
        **{name: fields[name] for name in ("sweep", "trial") if name in fields},
    )

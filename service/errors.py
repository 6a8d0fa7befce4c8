"""Errors as problem+json (RFC 9457): what happened, why, and what to do."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from structlog.contextvars import get_contextvars

from service.spec.problems import Problem

MEDIA_TYPE = "application/problem+json"

TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "It took too long",
    409: "Conflict",
    413: "Too large",
    414: "The URL is too long",
    415: "Unsupported media type",
    422: "The request breaks a rule",
    429: "Too many requests",
    431: "The headers are too long",
    500: "The service failed",
    501: "Not built yet",
    503: "Not available now",
    507: "Not enough disk",
}


class ProblemError(Exception):
    """A request that is refused, with its HTTP status and what else its reply's headers say."""

    def __init__(
        self,
        status: int,
        detail: str,
        cure: str,
        errors: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.cure = cure
        self.errors = errors
        self.headers = dict(headers or {})


def problem(status: int, detail: str, cure: str, errors: Sequence[Problem] = ()) -> dict[str, Any]:
    """The body of a problem."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "cure": cure,
    }
    request = get_contextvars().get("request_id")
    if request is not None:  # as the log has it, and the answer's X-Request-ID
        body["request_id"] = request
    if errors:
        body["errors"] = [vars(e) for e in errors]
    return body


def encoded(status: int, detail: str, cure: str) -> bytes:
    """The body of a problem as bytes, for those who answer before a route is found."""
    return json.dumps(problem(status, detail, cure)).encode()

"""The OpenAPI description: every operation with each refusal that it can answer, as a problem.

What a route refuses follows from what it takes, so that a new route is described by being there:
a path with a name in it may name nothing, what changes a sweep may come at the wrong time, and what
takes a body may get one that is too long or of another type. A route adds what only it refuses with
`responses=` and `refusal`.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from service.api.access import access_of
from service.errors import MEDIA_TYPE, TITLES

_CHANGES = frozenset({"post", "patch", "put", "delete"})
_PARTS = ("field", "value", "rule", "cure")
_PROBLEM = {
    "type": "object",
    "description": "What happened, why, and what to do (RFC 9457).",
    "required": ["type", "title", "status", "detail", "cure"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "about:blank", "type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "what happened, with the value, and the rule"},
        "cure": {"type": "string", "description": "what to do"},
        "request_id": {"type": "string", "description": "as the service's log has it"},
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": list(_PARTS),
                "additionalProperties": False,
                "properties": {key: {"type": "string"} for key in _PARTS},
            },
        },
    },
}
#: refusals before any route is asked: by source, size, type and shape, for asking too often, and
#: where too many ask at once or the store does not answer
_ALWAYS = (400, 403, 408, 413, 414, 415, 422, 429, 431, 503)
#: and where callers are asked who they are
_ASKED = (401,)
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key; the scope that an operation needs stands beside it.",
}


class Described(FastAPI):
    """An application whose description tells its refusals too.

    Args:
        asks: whether callers need an API key.
    """

    def __init__(self, *, asks: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._asks = asks

    def openapi(self) -> dict[str, Any]:
        """The description, made once."""
        found = super().openapi()
        if "Problem" not in found.get("components", {}).get("schemas", {}):
            complete(found)
            if self._asks:
                tell_scopes(found)
        return found


def tell_scopes(description: dict[str, Any]) -> None:
    """Adds to every operation which scope a key must have for it."""
    description["components"]["securitySchemes"] = {"key": _KEY}
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            scope = access_of(method.upper(), path).scope
            if scope is None:
                continue
            operation["security"] = [{"key": [scope.value]}]
            for status in _ASKED:
                operation["responses"].setdefault(str(status), refusal(status))


def complete(description: dict[str, Any]) -> None:
    """Adds to every operation the refusals that it does not name itself."""
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's, which are not sent here
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    _no_nul(parameter["schema"])
            answers = operation["responses"]
            answers.pop("422", None)
            if "requestBody" in operation:
                # also an empty one, {}, says that it is JSON: what another site's page can send
                # without asking is of no such type
                operation["requestBody"]["required"] = True
            for answer in answers.values():
                _only_reference(answer)
            for status in _refusals(path, method):
                answers.setdefault(str(status), refusal(status))


def _no_nul(schema: dict[str, Any]) -> None:
    """Texts of a query hold no NUL character (`service.api.source.judge_target`)."""
    for option in schema.get("anyOf", [schema]):
        if option.get("type") == "string" and not option.keys() & {"enum", "const", "format"}:
            option.setdefault("pattern", r"^[^\x00]*$")


def _only_reference(answer: dict[str, Any]) -> None:
    """A named shape says it all; what FastAPI derives of a route's `dict` says nothing."""
    for content in answer.get("content", {}).values():
        if "$ref" in content.get("schema", {}):
            content["schema"] = {"$ref": content["schema"]["$ref"]}


def refusal(status: int) -> dict[str, Any]:
    """A problem of this status, for a description."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": TITLES[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def _refusals(path: str, method: str) -> Iterator[int]:
    yield from _ALWAYS
    if "{" in path:
        yield 404
        if method in _CHANGES:
            yield 409

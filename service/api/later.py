"""Routes of the design that are not built yet: refused by name, never ignored."""

from collections.abc import Callable
from typing import NoReturn

from fastapi import APIRouter

from service.errors import ProblemError

#: method, path, what it is, what to do instead
LATER = []


def _refuser(what: str, cure: str) -> Callable[[], NoReturn]:
    def refuse() -> NoReturn:
        raise ProblemError(501, f"{what}: not built yet", cure)

    return refuse


def router() -> APIRouter:
    """The refusing routes."""
    found = APIRouter(tags=["later"])
    for method, path, what, cure in LATER:
        found.add_api_route(
            path,
            _refuser(what, cure),
            methods=[method],
            name=what,
            summary=f"{what[0].upper()}{what[1:]}",
            status_code=501,
            response_model=None,
        )
    return found

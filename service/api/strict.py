"""Refuses what a route would ignore: query parameters that it does not have, and bodies."""

from collections.abc import Iterator

from fastapi import Request
from pydantic import BaseModel

from service.errors import ProblemError
from service.spec.problems import Problem, near, shown


async def refuse_ignored(request: Request) -> None:
    """A dependency of every route that is built; those that are not refuse everything by name.

    Raises:
        ProblemError: 422, naming each parameter and the nearest one that the route has.
    """
    found = list(_parameters(request))
    if not request.scope["route"].dependant.body_params and await request.body():
        rule = f"{request.method} {request.url.path} takes no body"
        found.append(Problem("body", shown(await request.body()), rule, "send none"))
    if found:
        detail = "the request asks for what the route would ignore; nothing was done"
        raise ProblemError(422, detail, "mend what errors lists", found)


def _parameters(request: Request) -> Iterator[Problem]:
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            rule = "the route has no such parameter"
            yield Problem(f"query.{name}", shown(value), rule, near(name, known))
        elif name in seen:
            yield Problem(f"query.{name}", shown(value), "it is given once", "drop one of the two")
        seen.add(name)


def body_model(request: Request) -> type[BaseModel] | None:
    """The model of the body that a request's route takes, if it has one of its own."""
    route = request.scope.get("route")
    fields = route.dependant.body_params if route is not None else ()
    for field in fields:
        annotation = field.field_info.annotation
        for option in (annotation, *getattr(annotation, "__args__", ())):
            if isinstance(option, type) and issubclass(option, BaseModel):
                return option
    return None

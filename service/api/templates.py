"""The template of the route that a request is for, whoever answers it: few words for many paths."""

import re
from collections.abc import Iterable

from starlette.routing import BaseRoute, compile_path

from service.api.access import declared


class Templates:
    """The routes of an application, in the order in which it looks for them."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._known = [
            (method, compile_path(path)[0], compile_path(path)[1])
            for method, path in declared(routes)
        ]

    def of(self, method: str, path: str) -> str | None:
        """The template, of a method that the route has not too; None of a path that is no route."""
        found = None
        for known, pattern, template in self._known:
            if re.match(pattern, path):
                if known == method:
                    return template
                found = found or template
        return found

"""What every route asks of its caller, in one table; a route that is not in it starts no service.

Reading is for all who may read. What changes something names its act, and whose it must be: `of`
is the name in the path of the sweep or trial that only its owner and admins change.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, compile_path

from service.access.principal import Scope

#: where the guard leaves a request's access in the ASGI scope
ACCESS = "seedbed.access"


@dataclass(frozen=True)
class Access:
    """What a route asks.

    Attributes:
        scope: that the caller must hold; None of what is open to all and tells nothing.
        act: what it does, where it changes something.
        of: whose sweep it must be: that of path parameter `sweep`, or of the `trial` there.
    """

    scope: Scope | None
    act: str = ""
    of: str = ""


OPEN = Access(None)
READ = Access(Scope.READ)
ADMIN = Access(Scope.ADMIN)
_SWEEPS = "/api/v1/sweeps"


def _steer(act: str) -> Access:
    return Access(Scope.SUBMIT, act, "sweep")


#: method and path -> what it asks
ROUTES: Mapping[tuple[str, str], Access] = {
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/static/{name}"): OPEN,
    ("GET", "/login"): OPEN,
    ("POST", "/login"): Access(None, "logged_in"),
    ("POST", "/logout"): Access(Scope.READ, "logged_out"),
    ("GET", "/metrics"): READ,
    ("GET", "/openapi.json"): READ,
    ("GET", "/docs"): READ,
    ("GET", "/"): READ,
    ("GET", "/sweeps/{sweep}"): READ,
    ("GET", "/fragments/sweeps"): READ,
    ("GET", "/fragments/sweeps/{sweep}"): READ,
    ("GET", "/fragments/sweeps/{sweep}/findings"): READ,
    ("GET", _SWEEPS): READ,
    ("POST", _SWEEPS): Access(Scope.SUBMIT, "sweep_created"),
    ("GET", f"{_SWEEPS}/{{sweep}}"): READ,
    ("PATCH", f"{_SWEEPS}/{{sweep}}"): _steer("sweep_changed"),
    ("DELETE", f"{_SWEEPS}/{{sweep}}"): _steer("sweep_deleted"),
    ("POST", f"{_SWEEPS}/{{sweep}}/pause"): _steer("sweep_paused"),
    ("POST", f"{_SWEEPS}/{{sweep}}/resume"): _steer("sweep_resumed"),
    ("POST", f"{_SWEEPS}/{{sweep}}/cancel"): _steer("sweep_cancelled"),
    ("POST", f"{_SWEEPS}/{{sweep}}/extend"): _steer("sweep_extended"),
    ("POST", f"{_SWEEPS}/{{sweep}}/exclude"): _steer("worker_excluded"),
    ("POST", f"{_SWEEPS}/{{sweep}}/replay"): _steer("sample_replayed"),
    ("GET", f"{_SWEEPS}/{{sweep}}/progress"): READ,
    ("GET", f"{_SWEEPS}/{{sweep}}/events"): READ,
    ("GET", f"{_SWEEPS}/{{sweep}}/trials"): READ,
    ("GET", f"{_SWEEPS}/{{sweep}}/replays"): READ,
    ("GET", f"{_SWEEPS}/{{sweep}}/exclusions"): READ,
    ("GET", f"{_SWEEPS}/{{sweep}}/report"): READ,
    ("GET", f"{_SWEEPS}/{{sweep}}/audit"): READ,
    ("GET", f"{_SWEEPS}/{{sweep}}/compare"): READ,
    ("GET", "/api/v1/trials/{trial}"): READ,
    ("GET", "/api/v1/trials/{trial}/weights"): READ,
    ("GET", "/api/v1/trials/{trial}/curve"): READ,
    ("POST", "/api/v1/trials/{trial}/replay"): Access(Scope.SUBMIT, "trial_replayed", "trial"),
    ("GET", "/api/v1/experiments"): READ,
    ("GET", "/api/v1/experiments/{name}"): READ,
    ("GET", "/api/v1/presets"): READ,
    ("GET", "/api/v1/presets/{name:path}"): READ,
    ("GET", "/api/v1/activity"): ADMIN,
    ("GET", "/api/v1/keys"): ADMIN,
    ("POST", "/api/v1/keys"): Access(Scope.ADMIN, "key_made"),
    ("DELETE", "/api/v1/keys/{key}"): Access(Scope.ADMIN, "key_revoked"),
}

#: the same by paths as a description writes them, without convertors
_DESCRIBED = {(method, re.sub(r":\w+}", "}", path)): a for (method, path), a in ROUTES.items()}


class UndeclaredRouteError(Exception):
    """A route says nowhere who may call it."""


class Accesses:
    """Finds what a request's route asks, as the application will find the route.

    Raises:
        UndeclaredRouteError: a route of the application is not in the table.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._known = [
            (method, compile_path(path)[0], access_of(method, path), f"{method} {path}")
            for method, path in declared(routes)
        ]

    def find(self, method: str, path: str) -> Access:
        """Of a path that is no route, or a method that it has not: who may read may be told so."""
        for known, pattern, access, _ in self._known:
            if known == method and re.match(pattern, path):
                return access
        return READ

    def route(self, method: str, path: str) -> str:
        """Method and template of the route that a request is for; one word for all the others."""
        for known, pattern, _, route in self._known:
            if known == method and re.match(pattern, path):
                return route
        return "none"


def declared(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of every route of an application.

    Raises:
        UndeclaredRouteError: something is mounted that is no route with methods.
    """
    for route in iter_route_contexts(list(routes)):
        if route.path is None or not route.methods:
            raise UndeclaredRouteError(f"{route.original_route} has no methods to declare")
        for method in sorted(route.methods):
            yield method, route.path


def access_of(method: str, path: str) -> Access:
    """What the table says of a route.

    Raises:
        UndeclaredRouteError: it says nothing.
    """
    found = ROUTES.get((method, path)) or _DESCRIBED.get((method, path))
    if found is None:
        raise UndeclaredRouteError(
            f"{method} {path} does not say who may call it; every route does; "
            "add it to ROUTES in service/api/access.py"
        )
    return found

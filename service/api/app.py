"""The application: routes, problems for every error, and the safety middleware around it all."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from argon2 import PasswordHasher
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from prometheus_client import CollectorRegistry
from sqlalchemy.orm import Session, sessionmaker
from starlette.exceptions import HTTPException
from starlette.routing import Match

from service.access.keyring import Keyring
from service.access.login import Attempts
from service.access.oidc import Tokens
from service.api import (
    activity,
    catalogue,
    changes,
    comparisons,
    events,
    exclusions,
    kept,
    keys,
    metrics,
    probes,
    replays,
    reports,
    sweeps,
    trials,
)
from service.api.access import Accesses
from service.api.crowd import Crowd
from service.api.description import Described
from service.api.door import Door
from service.api.faults import Faults
from service.api.guard import Guard
from service.api.journal import Journal
from service.api.limits import Limited
from service.api.observed import Observed
from service.api.patience import Patience
from service.api.permits import Permits
from service.api.proxied import networks
from service.api.safety import Safety
from service.api.state import Health, State, free_bytes_of
from service.api.streams import Streams
from service.api.strict import body_model, refuse_ignored
from service.api.templates import Templates
from service.api.views import progress_json
from service.bus import Bus, LocalBus
from service.bus.choice import limits_of
from service.configuration import LOOPBACK, Configuration
from service.dashboard import login, pages
from service.errors import MEDIA_TYPE, ProblemError, problem
from service.observe.exposition import new_registry
from service.observe.requests import RequestMetrics
from service.observe.standing import BusStanding, StoreStanding
from service.spec.problems import SpecError, from_items
from service.store.errors import StoreError
from service.store.keys import Hasher
from service.store.progress import progress

__all__ = ["Health", "create_app"]

METHOD_NOT_ALLOWED = 405
#: pieces of files that are read from storage at once
STORAGE_THREADS = 8


def create_app(
    *,
    writing: sessionmaker[Session],
    reading: sessionmaker[Session],
    configuration: Configuration,
    wake: Callable[[], None],
    health: Callable[[], Health],
    free_bytes: Callable[[], int | None] | None = None,
    running_share: Callable[[str], float | None] = lambda _: None,
    lacking: Callable[[Iterable[str]], Mapping[str, str]] = lambda _: {},
    classes: Callable[[], Collection[str] | None] = lambda: None,
    hasher: Hasher | None = None,
    registry: CollectorRegistry | None = None,
    bus: Bus | None = None,
) -> FastAPI:
    """The service's HTTP side.

    Args:
        writing, reading: sessions of the store.
        wake: called after a sweep was created or steered.
        health: what /readyz says.
        free_bytes: free disk; measured unless given.
        running_share: how far a sweep's running trials are.
        lacking: of the data sets named, those that no worker has.
        classes: numerics classes that workers are of; None where nobody knows.
        hasher: what API keys are hashed with; argon2 at its full cost unless given.
        registry: what /metrics shows; one of its own unless given.
        bus: says that sweeps changed, to streams in this process and others; one of its own
            unless given.

    Raises:
        UndeclaredRouteError: a route does not say who may call it.
    """
    asks = configuration.auth == "keys"
    app = Described(
        asks=asks,
        title="Seedbed",
        description="How often does training succeed, and does this change help?",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # it is a route among the probes, as strict as the others
    )
    words = bus or LocalBus()

    def shown(sweep: str) -> dict[str, Any]:
        with reading() as session:
            return progress_json(progress(session, sweep), running_share(sweep))

    streams = Streams(words, shown, configuration.streams)
    door = Door(Keyring(reading, writing), _tokens(configuration)) if asks else None
    state = app.state.seedbed = State(
        writing,
        reading,
        configuration,
        wake,
        health,
        free_bytes or free_bytes_of(configuration),
        running_share,
        lacking,
        classes,
        hasher or PasswordHasher(),
        words,
        streams,
        door,
        Permits(None if door is None else door.still),
        Journal(writing, configuration.activity_days),
        Attempts(time.monotonic),
        Patience(STORAGE_THREADS),
    )
    app.state.metrics = found = registry or new_registry()
    found.register(StoreStanding(reading, lambda: health().dispatcher))
    link = getattr(words, "link", None)  # of a bus through Redis, which is not imported for it
    found.register(BusStanding(link, lambda: (streams.open, streams.most)))
    strict = [Depends(refuse_ignored)]
    for router in (
        sweeps.router,
        changes.router,
        events.router,
        trials.router,
        kept.router,
        replays.router,
        exclusions.router,
        reports.router,
        comparisons.router,
        catalogue.router,
        keys.router,
        activity.router,
    ):
        app.include_router(router, prefix="/api/v1", dependencies=strict)
    app.include_router(probes.router, dependencies=strict)
    app.include_router(metrics.router, dependencies=strict)
    pages.install(app, strict)
    app.include_router(login.router)
    _handlers(app)
    limits = limits_of(configuration, words)
    app.state.limits = limits
    app.add_middleware(Faults)
    app.add_middleware(Limited, limits=limits)
    app.add_middleware(
        Safety,
        guard=Guard(Accesses(app.routes), state.door, state.journal, limits),
        names=configuration.names,
        outside=configuration.host not in LOOPBACK,
        trusted=networks(configuration.trusted_proxies),
    )
    app.add_middleware(Crowd, most=configuration.requests)
    templates = Templates(app.routes)
    app.add_middleware(Observed, metrics=RequestMetrics(found), templates=templates)
    return app


def _tokens(configuration: Configuration) -> Tokens | None:
    if not configuration.oidc_issuer:
        return None
    return Tokens(
        configuration.oidc_issuer,
        configuration.oidc_audience,
        configuration.oidc_scopes_claim,
        configuration.scopes_of_claims,
        configuration.oidc_name_claim,
    )


def _reply(
    status: int,
    detail: str,
    cure: str,
    errors: Any = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = problem(status, detail, cure, errors)
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def allowed(app: FastAPI, request: Request) -> list[str]:
    """The methods of every route at a request's path; each route by itself knows its own only."""
    found: set[str] = set()
    for route in iter_route_contexts(app.routes):
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


def _handlers(app: FastAPI) -> None:
    @app.exception_handler(ProblemError)
    def _problem(request: Request, error: ProblemError) -> JSONResponse:
        return _reply(error.status, error.detail, error.cure, error.errors, error.headers)

    @app.exception_handler(SpecError)
    def _spec(request: Request, error: SpecError) -> JSONResponse:
        count = len(error.problems)
        detail = f"the spec breaks {count} rule{'s' if count > 1 else ''}; nothing was stored"
        return _reply(422, detail, "mend what errors lists and submit again", error.problems)

    @app.exception_handler(StoreError)
    def _store(request: Request, error: StoreError) -> JSONResponse:
        return _reply(error.status, str(error.args[0]), error.cure)

    @app.exception_handler(RequestValidationError)
    def _request(request: Request, error: RequestValidationError) -> JSONResponse:
        found = []
        for item in error.errors():
            place, *rest = item["loc"]
            model = body_model(request) if place == "body" else None
            found += from_items([item | {"loc": rest}], place, model)
        return _reply(422, "the request does not fit the route", "mend what errors lists", found)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        where = f"{request.method} {request.url.path}"
        cures = {404: "see /docs for the routes", 405: "see /docs for the route's methods"}
        cure = cures.get(error.status_code, "see /docs")
        found = _reply(error.status_code, f"{where}: {error.detail}", cure)
        if error.status_code == METHOD_NOT_ALLOWED:
            found.headers["Allow"] = ", ".join(allowed(app, request))
        return found

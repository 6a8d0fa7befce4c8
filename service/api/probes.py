"""Probes, and the API's description as a page that needs no network."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from service.api import shapes
from service.api.identity import PrincipalDep
from service.api.state import StateDep
from service.dashboard.render import render

router = APIRouter(tags=["probes"])


@router.get("/healthz", responses={200: {"model": shapes.Alive}})
async def alive() -> dict[str, str]:
    """Whether the process answers; it needs no thread, which a store that hangs could hold."""
    return {"status": "alive"}


_NOT_READY = {"description": "Something is missing", "model": shapes.Ready}


@router.get("/readyz", responses={200: {"model": shapes.Ready}, 503: _NOT_READY})
def ready(state: StateDep, response: Response) -> dict[str, Any]:
    """Whether sweeps make progress: 503 while the store, the dispatcher or workers are missing.

    Workers that come on demand are not missing while there are none.
    Storage that fails is said, and stops nothing: sweeps that keep no weights go on without it.
    """
    found = state.health()
    ok = found.store and found.dispatcher and (found.workers > 0 or found.on_demand)
    if not ok:
        response.status_code = 503
    return {
        "status": "ready" if ok else "not ready",
        "store": found.store,
        "dispatcher": found.dispatcher,
        "workers": found.workers,
        "on_demand": found.on_demand,
        "storage": found.storage is None,
    }


@router.get("/openapi.json", include_in_schema=False)
def description(request: Request) -> JSONResponse:
    """The API for tools."""
    return JSONResponse(request.app.openapi())


@router.get("/docs", include_in_schema=False)
def docs(request: Request, principal: PrincipalDep) -> HTMLResponse:
    """The routes, from the OpenAPI description."""
    schema = request.app.openapi()
    routes = [
        {"method": method.upper(), "path": path, **operation}
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]
    return render("docs.html", who=principal, routes=routes)

"""The dashboard's pages and the fragments that refresh them; they read counters and never write.

Every page is whole without a script. Rates are of settled cohorts; arrivals are progress only.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Header, Query, Request, Response
from fastapi.params import Depends
from fastapi.responses import HTMLResponse

from service.access.key import ME
from service.api.identity import Principal, PrincipalDep
from service.api.state import Reading, State, StateDep
from service.api.views import sweep_json
from service.dashboard.errored import errored
from service.dashboard.findings import Findings
from service.dashboard.render import STATIC, render, text
from service.spec.shape import LINE
from service.store import sweeps
from service.store.errors import UnknownSweepError
from service.store.progress import progress, progress_of

PAGE = 25
router = APIRouter(include_in_schema=False)

After = Annotated[str | None, Query(max_length=32)]
Owner = Annotated[str | None, Query(max_length=200, pattern=LINE)]
Label = Annotated[str | None, Query(max_length=64, pattern=LINE)]
IfNoneMatch = Annotated[str | None, Header()]


def install(app: FastAPI, dependencies: Sequence[Depends]) -> None:
    """Adds the pages to an application."""
    app.state.findings = Findings()
    app.include_router(router, dependencies=dependencies)


@router.get("/")
def index(
    session: Reading,
    state: StateDep,
    principal: PrincipalDep,
    after: After = None,
    owner: Owner = None,
    label: Label = None,
) -> HTMLResponse:
    """Sweeps, newest first: everybody's or an owner's, all or those with a label."""
    content = _newest(session, state, principal, after, owner, label)
    return render("sweeps.html", who=principal, **content)


@router.get("/fragments/sweeps")
def index_fragment(
    session: Reading,
    state: StateDep,
    principal: PrincipalDep,
    after: After = None,
    owner: Owner = None,
    label: Label = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What of the list changes."""
    content = _newest(session, state, principal, after, owner, label)
    return _fragment(text("_sweeps.html", who=principal, **content), if_none_match)


@router.get("/sweeps/{sweep}")
def show(sweep: str, session: Reading, state: StateDep, principal: PrincipalDep) -> HTMLResponse:
    """One sweep."""
    try:
        return render("sweep.html", who=principal, **_one(session, state, sweep))
    except UnknownSweepError as error:
        return render("missing.html", 404, who=principal, detail=error.args[0])


@router.get("/fragments/sweeps/{sweep}")
def show_fragment(
    sweep: str, session: Reading, state: StateDep, if_none_match: IfNoneMatch = None
) -> Response:
    """What of a sweep changes; its cost is arms x criteria, whatever the number of trials."""
    return _fragment(text("_sweep.html", **_one(session, state, sweep)), if_none_match)


@router.get("/fragments/sweeps/{sweep}/findings")
def findings_fragment(sweep: str, session: Reading, request: Request) -> HTMLResponse:
    """The findings of a finished sweep: asked for once a page, computed once a process."""
    known: Findings = request.app.state.findings
    view = sweeps.show(session, sweep)
    return render("_findings.html", findings=known.of(session, view))


@router.get("/static/{name}")
def static(name: str, if_none_match: IfNoneMatch = None) -> Response:
    """Style, script and icon: exactly the files that are there, read at the start."""
    if name not in STATIC:
        return render("missing.html", 404, detail=f"there is no file {name!r}")
    file = STATIC[name]
    headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
    if if_none_match == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


def _newest(
    session: Reading,
    state: State,
    principal: Principal,
    after: str | None,
    owner: str | None,
    label: str | None,
) -> dict[str, Any]:
    whose = principal.name if owner == ME else owner
    found = sweeps.page(session, after=after, limit=PAGE + 1, owner=whose, label=label)
    shown = found[:PAGE]
    counted = progress_of(session, [view.id for view in shown])
    items = [sweep_json(v, counted[v.id], state.running_share(v.id), whole=False) for v in shown]
    following = found[PAGE - 1].id if len(found) > PAGE else None
    wanted = {"owner": owner, "label": label}
    kept = [f"&{name}={quote(value, safe='')}" for name, value in wanted.items() if value]
    return {
        "sweeps": items,
        "after": after,
        "following": following,
        "owner": owner,
        "label": label,
        "kept": "".join(kept),
    }


def _one(session: Reading, state: State, sweep: str) -> dict[str, Any]:
    view = sweeps.show(session, sweep)
    found = sweep_json(view, progress(session, sweep), state.running_share(sweep))
    lost = sum(arm["errored"] for arm in found["progress"]["arms"])
    return {"sweep": found, "errors": errored(session, sweep) if lost else [], "lost": lost}


def _fragment(body: str, if_none_match: str | None) -> Response:
    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    if if_none_match == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return HTMLResponse(body, headers={"ETag": tag})

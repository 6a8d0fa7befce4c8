"""Log-in and log-out of the dashboard: an API key opens a session that a cookie carries.

The forms work without a script. That they come from the service's own pages is judged by their
Origin (service.api.body, service.api.guard), so that no other site logs anybody in or out.
"""

import math
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qs

import anyio.to_thread
import structlog
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from service.access.keyring import BadKeyError, ManyWrongError
from service.access.login import LASTS, cookie, draw_session, hash_of, local_path
from service.access.principal import STRANGER, Principal
from service.api.identity import PrincipalDep
from service.api.journal import entry_of
from service.api.state import State, StateDep
from service.dashboard.render import render
from service.store import logins

router = APIRouter(include_in_schema=False)
log = structlog.get_logger()


@router.get("/login")
def page(
    state: StateDep, wanted: Annotated[str | None, Query(alias="next", max_length=2000)] = None
) -> Response:
    """Asks for a key, where keys are on."""
    if state.door is None:
        return RedirectResponse(local_path(wanted), 303)
    return render("login.html", wanted=local_path(wanted), problem=None)


@router.post("/login")
async def log_in(request: Request, state: StateDep) -> Response:
    """Opens a session and goes on to the page that was wanted."""
    if state.door is None:
        return RedirectResponse("/", 303)
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    text, wanted = form.get("key", [""])[0].strip(), local_path(form.get("next", ["/"])[0])
    address = request.client.host if request.client else ""
    wait_s = state.attempts.wait_s(address)
    if wait_s > 0:
        problem = f"too many attempts; try again in {wait_s / 60:.0f} minutes"
        return _later(wanted, problem, wait_s)
    try:
        principal = await state.door.by_key(text, address)
    except ManyWrongError as error:  # it was not looked at: nothing failed
        return _later(wanted, f"{error.detail}: {error.cure}", error.wait_s)
    except BadKeyError as error:
        state.attempts.failed(address)
        log.warning("log_in_refused", client=address, why=error.detail)
        refused = entry_of(request.scope, STRANGER, "logged_in", error.detail, "refused")
        await anyio.to_thread.run_sync(state.journal.refused, refused)
        return render("login.html", 401, wanted=wanted, problem=error.detail)
    session = draw_session()
    await anyio.to_thread.run_sync(_begin, state, request, principal, session)
    opened = RedirectResponse(wanted, 303)
    opened.headers["Set-Cookie"] = cookie(session, secure=request.url.scheme == "https")
    return opened


@router.post("/logout")
def log_out(request: Request, state: StateDep, principal: PrincipalDep) -> Response:
    """Ends the session, and takes its cookie away."""
    if principal.session:
        with state.writing.begin() as session:
            logins.end(session, principal.session)
            done = entry_of(request.scope, principal, "logged_out", principal.key, "done")
            state.journal.write(session, done)
    reply = RedirectResponse("/login", 303)
    reply.headers["Set-Cookie"] = cookie("", secure=request.url.scheme == "https")
    return reply


def _later(wanted: str, problem: str, wait_s: float) -> Response:
    reply = render("login.html", 429, wanted=wanted, problem=problem)
    reply.headers["Retry-After"] = str(math.ceil(wait_s))
    return reply


def _begin(state: State, request: Request, principal: Principal, text: str) -> None:
    now = datetime.now(UTC)
    with state.writing.begin() as session:
        logins.begin(session, hash_of(text), principal.key, now=now, expires_at=now + LASTS)
        done = entry_of(request.scope, principal, "logged_in", principal.key, "done")
        state.journal.write(session, done)

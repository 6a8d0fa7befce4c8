"""Sweeps: submit, list, show, steer, delete."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from models.catalog import experiments
from service.access.key import ME
from service.api import shapes
from service.api.acting import ActDep
from service.api.description import refusal
from service.api.disk import check_disk, check_kept
from service.api.identity import PrincipalDep
from service.api.planned import plan_json
from service.api.state import Reading, State, StateDep, Writing, storage_bytes_of
from service.api.views import progress_json, sweep_json
from service.errors import ProblemError
from service.plan import Plan
from service.spec import parse
from service.spec.parse import handling_of
from service.spec.shape import LINE, Shape, whole
from service.store import speeds, sweeps
from service.store.progress import progress, progress_of
from service.structures import data_sets

router = APIRouter(prefix="/sweeps", tags=["sweeps"])


class Nothing(BaseModel):
    """A body without keys."""

    model_config = ConfigDict(extra="forbid")


class Resume(BaseModel):
    """The numerics class that is accepted after a change of code."""

    model_config = ConfigDict(extra="forbid", strict=True)

    accept_class: Annotated[str, Field(max_length=64)] | None = None


_SPEC = {"requestBody": {"content": {"application/json": {"schema": whole(Shape)}}}}
_PLAN = {
    "description": "What it would run, of a dry run; nothing is stored",
    "model": shapes.Planned,
}
_CREATED = {
    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
    "model": shapes.Sweep,
}
#: what every route answers that shows or steers a sweep
_SWEEP: dict[int | str, dict[str, Any]] = {200: {"model": shapes.Sweep}}


@router.post(
    "",
    status_code=201,
    openapi_extra=_SPEC,
    responses={200: _PLAN, 201: _CREATED, 409: refusal(409), 507: refusal(507)},
)
def submit(
    body: Annotated[Any, Body(description="a spec")],
    state: StateDep,
    session: Writing,
    response: Response,
    act: ActDep,
    dry_run: Annotated[bool, Query(description="say what it would run, store nothing")] = False,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, pattern="^[ -~]*$")
    ] = None,
) -> dict[str, Any]:
    """Creates a sweep; with `dry_run` says what it would run."""
    plan = parse(body, experiments())
    if dry_run:
        check_data(plan, state)
        response.status_code = 200
        act.outcome = "nothing"
        with state.reading() as reading:  # not the writer's lock
            return plan_json(plan, state, speeds.of_experiment(reading, plan.experiment))
    key = None
    if idempotency_key is not None:
        text = json.dumps(body, sort_keys=True)
        key = (idempotency_key, hashlib.sha256(text.encode()).hexdigest())
    owner = act.principal.name
    if (
        key is None or sweeps.keyed(session, key, owner) is None
    ):  # what is stored needs nothing more
        check_data(plan, state)
        check_disk(plan, state.free_bytes())
        check_kept(plan, storage_bytes_of(state.configuration))
    sweep, new = sweeps.create(
        session,
        plan,
        now=datetime.now(UTC),
        idempotency_key=key,
        owner=owner,
        handling=handling_of(body),
    )
    act.on, act.outcome = sweep, "done" if new else "repeated"
    response.headers["Location"] = f"/api/v1/sweeps/{sweep}"
    return sweep_of(sweep, session, state)


def check_data(plan: Plan, state: State) -> None:
    """Raises a problem when a data set of the plan is on no worker.

    Raises:
        ProblemError: 409, with what to do.
    """
    for name, cure in state.lacking(data_sets(plan, experiments()[plan.experiment])).items():
        raise ProblemError(
            409,
            f"no worker has data set {name}, which the sweep trains on; nothing was stored",
            cure,
        )


@router.get("", responses={200: {"model": shapes.Sweeps}})
def index(
    session: Reading,
    state: StateDep,
    principal: PrincipalDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=32)] = None,
    owner: Annotated[
        str | None,
        Query(max_length=200, pattern=LINE, description="whose; `me` is whoever asks"),
    ] = None,
    label: Annotated[str | None, Query(max_length=64, pattern=LINE)] = None,
) -> dict[str, Any]:
    """Sweeps, newest first, of one owner, with one label; `next` continues."""
    whose = principal.name if owner == ME else owner
    found = sweeps.page(session, after=after, limit=limit + 1, owner=whose, label=label)
    shown = found[:limit]
    counted = progress_of(session, [view.id for view in shown])
    items = [sweep_json(v, counted[v.id], state.running_share(v.id), whole=False) for v in shown]
    return {"items": items, "next": found[limit - 1].id if len(found) > limit else None}


@router.get("/{sweep}", responses=_SWEEP)
def show(sweep: str, session: Reading, state: StateDep) -> dict[str, Any]:
    """One sweep with its spec, state and counters."""
    return sweep_of(sweep, session, state)


@router.get("/{sweep}/progress", responses={200: {"model": shapes.Progress}})
def counters(sweep: str, session: Reading, state: StateDep) -> dict[str, Any]:
    """Counters only, at the same cost for any number of trials."""
    return progress_json(progress(session, sweep), state.running_share(sweep))


@router.post("/{sweep}/pause", responses=_SWEEP)
def pause(
    sweep: str,
    session: Writing,
    state: StateDep,
    body: Nothing | None = None,  # noqa: ARG001 - its shape is judged
) -> dict[str, Any]:
    """Stops claims; trials that train go on to their end."""
    sweeps.pause(session, sweep)
    return sweep_of(sweep, session, state)


@router.post("/{sweep}/resume", responses=_SWEEP)
def resume(
    sweep: str, session: Writing, state: StateDep, body: Resume | None = None
) -> dict[str, Any]:
    """Goes on; after a change of code only with the class that is accepted."""
    accept = body.accept_class if body is not None else None
    sweeps.resume(session, sweep, accept_class=accept)
    return sweep_of(sweep, session, state)


@router.post("/{sweep}/cancel", responses=_SWEEP)
def cancel(
    sweep: str,
    session: Writing,
    state: StateDep,
    body: Nothing | None = None,  # noqa: ARG001 - its shape is judged
) -> dict[str, Any]:
    """Cancels what waits at once, what trains at its next boundary.

    It cannot be taken back, unless the sweep was extended before: `extend` takes that up again.
    """
    sweeps.cancel(session, sweep, now=datetime.now(UTC))
    return sweep_of(sweep, session, state)


def sweep_of(sweep: str, session: Session, state: State) -> dict[str, Any]:
    """A sweep as every route answers that shows or steers one."""
    share = state.running_share(sweep)
    return sweep_json(sweeps.show(session, sweep), progress(session, sweep), share)


@router.delete("/{sweep}", status_code=204)
def delete(sweep: str, session: Writing) -> None:
    """Deletes an ended sweep with everything that belongs to it."""
    sweeps.remove(session, sweep)

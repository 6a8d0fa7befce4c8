"""Changes of a sweep that is there: its handling, criteria that are added, and extensions."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body

from models.catalog import experiments
from models.experiment import Experiment
from service.api import shapes
from service.api.description import refusal
from service.api.disk import check_disk, check_kept, disk_bytes, kept_bytes
from service.api.state import Reading, StateDep, Writing, storage_bytes_of
from service.api.sweeps import check_data, sweep_of
from service.errors import ProblemError
from service.plan import Plan
from service.report.build import build
from service.report.met import frozen
from service.spec.additions import Change, judge_additions, read_change
from service.spec.extension import Extend, missing, read_extension
from service.spec.problems import SpecError
from service.spec.shape import whole
from service.store import extending
from service.store.judging import add_criteria
from service.store.plans import plan_of
from service.store.progress import progress
from service.store.sweeps import handle

router = APIRouter(prefix="/sweeps", tags=["sweeps"])

_CHANGE = {"requestBody": {"content": {"application/json": {"schema": whole(Change)}}}}


@router.patch("/{sweep}", openapi_extra=_CHANGE, responses={200: {"model": shapes.Sweep}})
def change(
    sweep: str,
    body: Annotated[Any, Body(description="what is to change")],
    state: StateDep,
    session: Writing,
) -> dict[str, Any]:
    """Changes how a sweep is treated, and adds criteria, whose successes follow from outcomes."""
    with _judged():
        wanted = read_change(body)
        plan = plan_of(session, sweep)
        added = wanted.criteria.add
        found = judge_additions(added, plan, _experiment(plan)) if added else ()
    if found:
        add_criteria(session, sweep, found, now=datetime.now(UTC))
    handle(session, sweep, **wanted.changed())
    return sweep_of(sweep, session, state)


_EXTEND = {"requestBody": {"content": {"application/json": {"schema": whole(Extend)}}}}


@router.post(
    "/{sweep}/extend",
    openapi_extra=_EXTEND,
    responses={200: {"model": shapes.Sweep}, 507: refusal(507)},
)
def extend(
    sweep: str,
    body: Annotated[Any, Body(description="the seeds, arms and settings that it is to have")],
    state: StateDep,
    before: Reading,
    session: Writing,
) -> dict[str, Any]:
    """Adds seeds, settings or arms to a finished sweep; only what is missing runs.

    The body names the target: what the sweep has already is not added again.
    An extended sweep that was cancelled is taken up again, if only its own seeds are named.
    """
    plan, now = plan_of(before, sweep), progress(before, sweep)
    with _judged():
        wanted = read_extension(body)
        _experiment(plan)
        stopped = asdict(now.stopped) if now.stopped else None
        found = missing(
            plan,
            wanted,
            experiments(),
            settled=now.settled_cohorts,
            stopped=stopped,
            cancelled=now.state == "cancelled",
        )
    if found is not None:
        check_data(found.plan, state)
        check_disk(found.plan, state.free_bytes(), disk_bytes(plan))
        check_kept(found.plan, storage_bytes_of(state.configuration), kept_bytes(plan))
        first = now.state == "finished" and now.stopped is None and not plan.extensions
        met = frozen(build(before, sweep)) if first else None
        extending.extend(session, sweep, plan, found, met, now=datetime.now(UTC))
    return sweep_of(sweep, session, state)


@contextlib.contextmanager
def _judged() -> Iterator[None]:
    """A change that breaks rules, as a problem."""
    try:
        yield
    except SpecError as error:
        count = len(error.problems)
        detail = f"the change breaks {count} rule{'s' if count > 1 else ''}; nothing was changed"
        cure = "mend what errors lists and send it again"
        raise ProblemError(422, detail, cure, error.problems) from error


def _experiment(plan: Plan) -> Experiment:
    """The experiment of a plan.

    Raises:
        ProblemError: 409, it is not installed any more.
    """
    found = experiments().get(plan.experiment)
    if found is None:
        raise ProblemError(
            409,
            f"experiment {plan.experiment} is not installed here any more, and only it says what "
            "its metrics can be",
            "install the package that brings it and restart the service",
        )
    return found

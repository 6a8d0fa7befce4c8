"""Trials: pages with filters, and one with its error and traceback."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from service.api import shapes
from service.api.replays import replay_json
from service.api.state import Reading
from service.api.views import trial_json
from service.errors import ProblemError
from service.store import replays, sweeps, trials
from service.store.trials import MOST_ID, MOST_INDEX

router = APIRouter(tags=["trials"])

EndState = Literal["finished", "left", "diverged", "errored", "cancelled"]


@router.get("/sweeps/{sweep}/trials", responses={200: {"model": shapes.Trials}})
def page(
    sweep: str,
    session: Reading,
    arm: str | None = None,
    cell: Annotated[int | None, Query(ge=0, le=MOST_INDEX)] = None,
    end_state: EndState | None = None,
    success: bool | None = None,
    criterion: Annotated[
        int | None, Query(ge=0, le=MOST_INDEX, description="which criterion success is of")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[int | None, Query(ge=0, le=MOST_ID)] = None,
) -> dict[str, Any]:
    """Trials that have been claimed, in order of id; `next` continues.

    An outcome is shown, and found by success or an end state other than errored and cancelled, once
    its cohort is settled; until then the trial's state is `arrived`.
    """
    sweeps.show(session, sweep)
    if (success is None) != (criterion is None):
        raise ProblemError(
            422,
            "success and criterion filter together: success is of one criterion",
            "give both, e.g. success=true&criterion=0",
        )
    judged = (criterion, success) if criterion is not None and success is not None else None
    found = trials.page(
        session,
        sweep,
        after=after,
        limit=limit + 1,
        arm=arm,
        cell=cell,
        end_state=end_state,
        success=judged,
    )
    following = found[limit - 1].id if len(found) > limit else None
    return {"items": [trial_json(t) for t in found[:limit]], "next": following}


@router.get("/trials/{trial}", responses={200: {"model": shapes.OneTrial}})
def show(trial: int, session: Reading) -> dict[str, Any]:
    """One trial; with its outcome once its cohort is settled, or with its error and traceback."""
    found = trial_json(trials.show(session, trial), with_traceback=True)
    return found | {"replays": [replay_json(r) for r in replays.listed(session, trial=trial)]}

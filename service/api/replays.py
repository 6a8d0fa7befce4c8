"""Replays: ended trials run again, alone, and compared to the bit."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from service.api import shapes
from service.api.state import Reading, StateDep, Writing
from service.api.sweeps import Nothing
from service.api.views import moment
from service.store import replays, sweeps
from service.store.trials import MOST_ID

router = APIRouter(tags=["replays"])


class Sample(BaseModel):
    """Which share of a sweep's settled trials is run again."""

    model_config = ConfigDict(extra="forbid")

    sample: Annotated[float, Field(gt=0, le=1, strict=True)]


@router.post("/trials/{trial}/replay", status_code=202, responses={202: {"model": shapes.Replay}})
def replay(
    trial: int,
    session: Writing,
    state: StateDep,
    body: Nothing | None = None,  # noqa: ARG001 - its shape is judged
) -> dict[str, Any]:
    """Asks for one trial to be run again; it begins once a worker has nothing else to do."""
    asked = replays.ask(session, trial, state.classes(), datetime.now(UTC))
    return replay_json(replays.listed(session, after=asked - 1, limit=1)[0])


@router.post("/sweeps/{sweep}/replay", status_code=202, responses={202: {"model": shapes.Asked}})
def replay_sample(sweep: str, body: Sample, session: Writing, state: StateDep) -> dict[str, Any]:
    """Asks for a share of the settled trials, at least one; which ones is drawn from the root."""
    asked = replays.ask_sample(session, sweep, body.sample, state.classes(), datetime.now(UTC))
    return {"replays": asked, "counts": replays.counts(session, sweep)}


@router.get("/sweeps/{sweep}/replays", responses={200: {"model": shapes.Replays}})
def page(
    sweep: str,
    session: Reading,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[int, Query(ge=0, le=MOST_ID)] = 0,
) -> dict[str, Any]:
    """Replays in the order in which they were asked for; `next` continues."""
    sweeps.show(session, sweep)
    found = replays.listed(session, sweep=sweep, after=after, limit=limit + 1)
    return {
        "counts": replays.counts(session, sweep),
        "items": [replay_json(r) for r in found[:limit]],
        "next": found[limit - 1]["id"] if len(found) > limit else None,
    }


def replay_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A replay; `equal` is None until it is done."""
    return {
        "id": row["id"],
        "trial": row["trial"],
        "sweep": row["sweep"],
        "state": row["state"],
        "equal": None if row["equal"] is None else bool(row["equal"]),
        "differs": row["differs"],
        "fingerprint": row["fingerprint"],
        "recorded_by": row["author"],
        "worker": row["worker"],
        "requested_at": moment(row["requested_at"]),
        "ended_at": moment(row["ended_at"]),
        "error": row["error"],
    }

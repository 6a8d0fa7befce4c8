"""Exclusions: what a worker did of a sweep is done again by others, and a trail of it stays."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from service.api import shapes
from service.api.state import Reading, Writing
from service.report.trail import exclusion_json
from service.store import exclusion, sweeps

router = APIRouter(tags=["sweeps"])
_Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class Exclude(BaseModel):
    """Which worker, as its trials name it, and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    worker: _Text
    reason: _Text


@router.post("/sweeps/{sweep}/exclude", responses={200: {"model": shapes.Exclusion}})
def exclude(sweep: str, body: Exclude, session: Writing) -> dict[str, Any]:
    """Takes a worker's outcomes out, has its trials run again, and gives it none of them any more.

    A finished sweep runs again until they have ended. Excluding a worker twice changes nothing.
    """
    now = datetime.now(UTC)
    return exclusion_json(exclusion.exclude(session, sweep, body.worker, body.reason, now=now))


@router.get("/sweeps/{sweep}/exclusions", responses={200: {"model": shapes.Exclusions}})
def trail(sweep: str, session: Reading) -> dict[str, Any]:
    """Who was excluded, when, why, and how many of its trials came out the same elsewhere."""
    sweeps.show(session, sweep)
    return {"items": [exclusion_json(e) for e in exclusion.trail(session, sweep)]}

"""Who did what: for admins, newest first."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query

from service.api import shapes
from service.api.state import Reading
from service.api.views import moment
from service.store import activity
from service.store.trials import MOST_ID

router = APIRouter(prefix="/activity", tags=["keys"])


@router.get("", responses={200: {"model": shapes.Activity}})
def index(
    session: Reading,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=MOST_ID)] = None,
    principal: Annotated[str | None, Query(max_length=200)] = None,
) -> dict[str, Any]:
    """Log-ins, keys, and what was done to sweeps, or refused; `next` continues as `before`."""
    found = activity.page(session, before=before, limit=limit + 1, principal=principal)
    following = found[limit - 1]["id"] if len(found) > limit else None
    return {"items": [act_json(row) for row in found[:limit]], "next": following}


def act_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """One act."""
    return {**row, "at": moment(row["at"])}

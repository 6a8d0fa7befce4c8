"""API keys over REST, for admins: make, list, revoke."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service.access.key import NAME, wrong
from service.access.principal import Scope
from service.api import shapes
from service.api.acting import ActDep
from service.api.state import Reading, StateDep, Writing
from service.api.views import moment
from service.errors import ProblemError
from service.store import keys
from service.store.keys import Key

router = APIRouter(prefix="/keys", tags=["keys"])


class MakeKey(BaseModel):
    """What a key is for, whose it is, what it may do, and until when."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=NAME, strict=True)]
    owner: Annotated[str, Field(pattern=NAME, strict=True)]
    scope: Scope
    expires_at: AwareDatetime | None = None


@router.post("", status_code=201, responses={201: {"model": shapes.MadeKey}})
def make(
    body: MakeKey, session: Writing, state: StateDep, act: ActDep, response: Response
) -> dict[str, Any]:
    """Makes a key; `key` is shown this once, and nothing can show it again."""
    now = datetime.now(UTC)
    refused = wrong(body.owner, body.expires_at, now)
    if refused is not None:
        raise ProblemError(422, *refused)
    key, text = keys.create(
        session,
        name=body.name,
        owner=body.owner,
        scope=body.scope,
        now=now,
        expires_at=body.expires_at,
        hasher=state.hasher,
    )
    act.on = key.id
    response.headers["Location"] = f"/api/v1/keys/{key.id}"
    return key_json(key) | {"key": text}


@router.get("", responses={200: {"model": shapes.Keys}})
def index(
    session: Reading,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=32)] = None,
) -> dict[str, Any]:
    """Every key without its secret, revoked ones too; `next` continues."""
    found = keys.page(session, after=after, limit=limit + 1)
    following = found[limit - 1].id if len(found) > limit else None
    return {"items": [key_json(k) for k in found[:limit]], "next": following}


@router.delete("/{key}", responses={200: {"model": shapes.Key}})
def revoke(key: str, session: Writing) -> dict[str, Any]:
    """Revokes a key: within seconds it opens nothing any more. Again is no error."""
    return key_json(keys.revoke(session, key, now=datetime.now(UTC)))


def key_json(key: Key) -> dict[str, Any]:
    """A key without its secret."""
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "scope": key.scope.value,
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "revoked_at": moment(key.revoked_at),
        "last_used_at": moment(key.last_used_at),
    }

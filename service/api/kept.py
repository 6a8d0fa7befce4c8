"""What was kept of a trial, once its cohort is settled: its final weights, its evaluation curve."""

import json
import zlib
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from service.api import shapes
from service.api.description import refusal
from service.api.patience import Patience
from service.api.state import Reading, StateDep, state_of
from service.errors import ProblemError
from service.store import trials
from service.store.curves import curve_of
from service.store.plans import plan_of
from service.store.tables import HAS_OUTCOME
from service.store.trials import TrialView
from workers.messages import Weights
from workers.storage import MissingFileError, Storage, StorageError

router = APIRouter(tags=["trials"])

MEDIA_TYPE = "application/octet-stream"
#: storage is waited for so long, for a file's first piece and for each further one
ANSWER_S = 10.0
_CHUNK = 2**20
_FILE = {"content": {MEDIA_TYPE: {}}, "description": "A safetensors file; its ETag is its SHA-256"}


def _weights_of(trial: int, state: StateDep) -> Weights:
    """What was kept of a trial; the store is done with before storage is asked.

    Raises:
        UnknownTrialError: there is no such trial.
        ProblemError: 404, nothing was kept, or nothing that is shown yet.
    """
    with state.reading() as session:
        view = _settled(session, trial)
        if view.weights is not None:
            return Weights(**view.weights)
        keep = plan_of(session, view.sweep).spec.get("keep_weights", "none")
    met = "; it met no criterion of the spec as submitted" if keep == "successes" else ""
    raise ProblemError(
        404,
        f"no weights of trial {trial} were kept: its sweep says keep_weights: {keep}{met}",
        f"replay it (`seedbed replay {trial}`) to see that it trains the same, or submit a "
        "sweep that keeps them",
    )


@router.get("/trials/{trial}/weights", responses={200: _FILE, 503: refusal(503)})
async def weights(
    trial: int, kept: Annotated[Weights, Depends(_weights_of)], request: Request
) -> StreamingResponse:
    """The final weights that a trial's sweep kept, as safetensors."""
    state = state_of(request)
    url, storage = state.configuration.storage_url, state.storage
    try:
        first, rest = await storage.ask(lambda: _begun(url, trial, kept), ANSWER_S)
    except MissingFileError as error:
        raise _gone(trial, "not in storage any more") from error
    except (StorageError, TimeoutError) as error:
        why = str(error) or f"storage has not answered for {ANSWER_S:g} s"
        raise ProblemError(
            503, f"weights of trial {trial} were kept, but {why}", "try again later"
        ) from error
    headers = {
        "ETag": f'"{kept.sha256}"',
        "Content-Length": str(kept.bytes),
        "Content-Disposition": f'attachment; filename="trial-{trial}.safetensors"',
    }
    return StreamingResponse(_sent(storage, first, rest), media_type=MEDIA_TYPE, headers=headers)


@router.get("/trials/{trial}/curve", responses={200: {"model": shapes.Curve}})
def curve(trial: int, session: Reading) -> dict[str, Any]:
    """A trial's evaluations: the steps, and each metric's value at each, null where not finite."""
    _settled(session, trial)
    found: dict[str, Any] = json.loads(zlib.decompress(curve_of(session, trial)))
    return {"trial": trial, **found}


def _settled(session: Session, trial: int) -> TrialView:
    """A trial whose outcome may be shown.

    Raises:
        UnknownTrialError: there is no such trial.
        ProblemError: 404, it has no outcome, or none that is shown yet.
    """
    view = trials.show(session, trial)
    if view.settled and view.state in HAS_OUTCOME:
        return view
    if view.state in HAS_OUTCOME or not view.settled:
        raise ProblemError(
            404,
            f"trial {trial} shows nothing of its outcome yet: its cohort is not settled, and what "
            "is seen before would be of those that end soonest",
            f"wait until its cohort is settled (`seedbed show {view.sweep}`)",
        )
    raise ProblemError(
        404, f"trial {trial} is {view.state} and has no outcome", "ask for another trial"
    )


def _gone(trial: int, how: str) -> ProblemError:
    return ProblemError(
        404,
        f"weights of trial {trial} were kept, but are {how}",
        "see whether SEEDBED_STORAGE_URL names the storage that they were written to",
    )


@lru_cache(maxsize=4)
def _storage(url: str) -> Storage:
    return Storage(url)


def _begun(url: str, trial: int, kept: Weights) -> tuple[bytes, Iterator[bytes]]:
    """The first piece of a file, and the others."""
    storage = _storage(url)
    there = storage.size(kept.path)
    if there != kept.bytes:
        raise _gone(trial, f"{there} bytes long in storage and were {kept.bytes}")
    pieces = _pieces(storage, kept.path)
    return next(pieces, b""), pieces


def _pieces(storage: Storage, path: str) -> Iterator[bytes]:
    with storage.opened(path) as file:
        while piece := file.read(_CHUNK):
            yield piece


async def _sent(storage: Patience, first: bytes, rest: Iterator[bytes]) -> AsyncIterator[bytes]:
    """A whole file; where storage does not go on, the reply breaks off before its length."""
    piece = first
    while piece:
        yield piece
        piece = await storage.ask(lambda: next(rest, b""), ANSWER_S)

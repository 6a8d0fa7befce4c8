"""What a request changes: only what its caller may, and with a name for who did it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from service.access.principal import Principal
from service.api.access import ACCESS, Access
from service.api.identity import principal_of
from service.api.journal import Journal, entry_of
from service.errors import ProblemError
from service.store import trials
from service.store.sweeps import owner_of

#: where it lies in the ASGI scope
_ACT = "seedbed.act"


@dataclass
class Act:
    """What one request does, and on what.

    Attributes:
        on: id of what it was done to, once that is known.
        outcome: `done`, `repeated` where it had been done before, `nothing` where nothing was.
    """

    principal: Principal
    access: Access
    on: str
    outcome: str = "done"


def act_of(request: Request) -> Act:
    """The one act of a request."""
    known: Act | None = request.scope.get(_ACT)
    if known is None:
        access: Access = request.scope[ACCESS]
        on = next((str(v) for k, v in request.path_params.items() if k in _NAMED), "")
        known = request.scope[_ACT] = Act(principal_of(request), access, on)
    return known


_NAMED = ("sweep", "trial", "key")
_NUMBER = TypeAdapter(int)
ActDep = Annotated[Act, Depends(act_of)]


def record(act: Act, request: Request, journal: Journal, session: Session) -> None:
    """Writes the act down in the transaction that did it."""
    if act.access.act and act.outcome != "nothing":
        done = entry_of(request.scope, act.principal, act.access.act, act.on, act.outcome)
        journal.write(session, done)


def judge(act: Act, request: Request, session: Session) -> None:
    """Whether what is to be changed is the caller's to change; what is not there the route says.

    Raises:
        ProblemError: 403, it is another's.
    """
    if not act.access.of:
        return
    sweep: str | None = request.path_params.get("sweep")
    if act.access.of == "trial":
        try:
            trial = _NUMBER.validate_python(request.path_params["trial"])  # as the route reads it
        except ValidationError:
            return  # which refuses it
        sweep = trials.sweep_of(session, trial)
    owner = owner_of(session, sweep) if sweep is not None else None
    if owner is None or act.principal.may_steer(owner):
        return
    whose = f"{owner}'s" if owner else "nobody's"
    raise ProblemError(
        403,
        f"sweep {sweep} is {whose}, and {act.principal.name} may not change it: only its owner "
        "and admins do",
        f"ask {owner or 'an admin'}, or submit a sweep of your own",
    )

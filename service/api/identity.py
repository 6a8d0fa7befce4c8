"""Who asks: the principal that the guard found, for routes that need to know."""

from typing import Annotated

from fastapi import Depends, Request

from service.access.principal import ANYBODY, STRANGER, Principal, Scope

__all__ = ["ANYBODY", "STRANGER", "Principal", "PrincipalDep", "Scope", "principal_of"]

#: where the guard leaves it in the ASGI scope
PRINCIPAL = "seedbed.principal"


def principal_of(request: Request) -> Principal:
    """The principal of a request that the guard let in."""
    found: Principal = request.scope[PRINCIPAL]
    return found


PrincipalDep = Annotated[Principal, Depends(principal_of)]

"""Who asks, and what they may do: a greater scope holds the lesser ones."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a caller may do."""

    #: look at everything but keys and who did what
    READ = "read"
    #: and make sweeps, and steer one's own
    SUBMIT = "submit"
    #: and steer everybody's, make and revoke keys, see who did what
    ADMIN = "admin"


def held(scope: Scope) -> frozenset[Scope]:
    """The scope and those that it holds."""
    order = list(Scope)
    return frozenset(order[: order.index(scope) + 1])


@dataclass(frozen=True)
class Principal:
    """Who asks.

    Attributes:
        name: of an API key its owner; '' where nobody is asked who they are.
        scopes: all that they hold.
        key: the id of the API key, '' without one.
        session: the hash of the id of the dashboard's session, '' without one.
        until_s: when their key, log-in or token expires, in seconds since 1970; None of one that
            does not.
    """

    name: str
    scopes: frozenset[Scope]
    key: str = ""
    session: str = ""
    until_s: float | None = None

    def may_steer(self, owner: str) -> bool:
        """Whether a sweep of this owner is theirs to change; what is nobody's is the admins'."""
        own = owner != "" and owner == self.name and Scope.SUBMIT in self.scopes
        return own or Scope.ADMIN in self.scopes


#: everybody, where the service asks nobody (SEEDBED_AUTH=none): on loopback only
ANYBODY = Principal("", frozenset(Scope))
#: whoever calls a route that is open to all, where keys are on
STRANGER = Principal("", frozenset())

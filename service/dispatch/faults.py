"""Faults: which errors of a turn pass by themselves, and how often others are borne."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError  # noqa: A004 - SQLAlchemy's name

#: turns in a row that may fail of something else than an unreachable store before the dispatcher
#: gives up: it would else go on for ever without progress, and nobody would look
MOST_FAILED = 5
_MOST_DOUBLINGS = 5


def unreachable(error: Exception) -> bool:
    """Whether the store was locked, cut off, restarting or out of connections: it may come back."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | TimeoutError)


def pause_s(failed: int) -> float:
    """Seconds to wait after so many failed turns in a row: 1, 2, 4 ... at most 32."""
    return float(2 ** min(failed - 1, _MOST_DOUBLINGS))

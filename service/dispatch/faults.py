"""Faults: which errors of a turn pass by themselves, and how often others are borne."""

from service.store.faults import full, unreachable

__all__ = ["MOST_FAILED", "pause_s", "trouble", "unreachable"]

#: turns in a row that may fail of something else than an unreachable store before the dispatcher
#: gives up: it would else go on for ever without progress, and nobody would look
MOST_FAILED = 5
_MOST_DOUBLINGS = 5


def trouble(error: Exception) -> str:
    """The event of the log for a store that will be asked again."""
    return "store_full" if full(error) else "store_unreachable"


def pause_s(failed: int) -> float:
    """Seconds to wait after so many failed turns in a row: 1, 2, 4 ... at most 32."""
    return float(2 ** min(failed - 1, _MOST_DOUBLINGS))

"""How many requests a minute somebody may make: by every process together, or by each alone.

The law is that of a leaky bucket, kept as one moment for each caller (generic cell rate algorithm):
whoever makes no more than so many in any minute is never refused, however they are spread.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

WINDOW_S = 60
#: callers that are remembered; beyond it those who have been quiet longest are forgotten
MOST_CALLERS = 10_000


@dataclass(frozen=True)
class Rate:
    """So many requests in a minute, also all at once."""

    requests: int

    @property
    def interval_s(self) -> float:
        """What one request takes of the minute."""
        return WINDOW_S / self.requests


@dataclass(frozen=True)
class Verdict:
    """What became of one request.

    Attributes:
        allowed: whether it may be answered.
        remaining: how many more may be made now.
        retry_s: after so long one more may be made; 0 where it may be now.
        full_s: after so long all of them may.
    """

    allowed: bool
    remaining: int
    retry_s: float
    full_s: float


def verdict(rate: Rate, *, allowed: bool, ahead_s: float) -> Verdict:
    """Says what a caller's moment means.

    Args:
        rate: what they may.
        allowed: whether this request was counted.
        ahead_s: how far their moment lies in the future.
    """
    room_s = WINDOW_S - ahead_s
    remaining = max(0, int(room_s / rate.interval_s + 1e-6))
    retry_s = 0.0 if remaining else max(0.0, rate.interval_s - room_s)
    return Verdict(allowed, remaining, retry_s, max(0.0, ahead_s))


def taken(rate: Rate, moment: float, now: float) -> tuple[bool, float]:
    """Whether a request at `now` is allowed, and the caller's moment after it."""
    begun = max(moment, now)
    after = begun + rate.interval_s
    return (False, begun) if after - now > WINDOW_S * (1 + 1e-9) else (True, after)


class Limits(Protocol):
    """Counts requests; of one event loop."""

    rate: Rate

    async def take(self, caller: str) -> Verdict:
        """Counts one, if it is allowed."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


class LocalLimits:
    """What this process alone counts."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._moments: dict[str, float] = {}

    async def take(self, caller: str) -> Verdict:
        """Counts one, if it is allowed."""
        now = self._clock()
        allowed, moment = taken(self.rate, self._moments.pop(caller, 0.0), now)
        self._moments[caller] = moment  # at the end: the first are those quiet longest
        if len(self._moments) > MOST_CALLERS:
            del self._moments[next(iter(self._moments))]
        return verdict(self.rate, allowed=allowed, ahead_s=moment - now)

    async def close(self) -> None:
        """Has none."""

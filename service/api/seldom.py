"""Lines of the log that somebody outside can cause as often as they like: few, and a count."""

from collections import OrderedDict
from collections.abc import Callable

#: callers are remembered of at most so many
_MOST = 10_000


class Seldom:
    """At most one line of each caller in so long; of one event loop.

    Args:
        every_s: so long.
        clock: seconds that never go back.
    """

    def __init__(self, every_s: float, clock: Callable[[], float]) -> None:
        self._every_s = every_s
        self._clock = clock
        self._said: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def due(self, caller: str) -> int | None:
        """How many lines were left out before this one; None of one that is left out itself."""
        now = self._clock()
        at, left_out = self._said.get(caller, (float("-inf"), 0))
        if now < at + self._every_s:
            self._said[caller] = at, left_out + 1
            return None
        self._said[caller] = now, 0
        self._said.move_to_end(caller)
        if len(self._said) > _MOST:
            self._said.popitem(last=False)
        return left_out

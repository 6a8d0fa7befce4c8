"""Passed: sweeps that somebody else has had locked for long, told once each time."""

from collections.abc import Iterable

#: a sweep that turns have passed for so long is told of; adding criteria to a large one may take it
TELL_S = 60.0
#: one that was not passed for so long has been free meanwhile
OVER_S = 10.0


class Passed:
    """Of one dispatcher; time is an argument."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, float]] = {}
        self._told: set[str] = set()

    def heard(self, passed: Iterable[str], now_s: float) -> list[str]:
        """Notes what a turn passed; those of which is to be told now."""
        self._since |= {s: (self._since.get(s, (now_s, now_s))[0], now_s) for s in passed}
        self._since = {s: t for s, t in self._since.items() if now_s - t[1] <= OVER_S}
        long = {s for s, (first, last) in self._since.items() if last - first >= TELL_S}
        new = sorted(long - self._told)
        self._told = long
        return new

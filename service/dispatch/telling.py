"""Telling: after turns, how far the running trials of each sweep are, to whoever follows it."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from service.bus import Bus, sweep_topic
from service.dispatch.peers import Peer
from service.dispatch.telemetry import telemetries

#: no sweep is told of more often
LEAST_S = 0.4


class Teller:
    """Tells of a sweep when something is new, and once more when none of its trials runs.

    Args:
        bus: who carries it.
        clock: seconds that never go back.
    """

    def __init__(self, bus: Bus, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._clock = clock
        self._told: dict[str, Mapping[str, Any]] = {}
        self._told_at: float | None = None

    def tell(self, peers: Collection[Peer]) -> None:
        """Tells what these workers do, if it is time to."""
        now = self._clock()
        if self._told_at is not None and now - self._told_at < LEAST_S:
            return
        self._told_at = now
        news = {
            sweep: {"running": found.running, "share": found.share}
            for sweep, found in telemetries(peers).items()
        }
        for sweep in self._told.keys() - news.keys():
            self._bus.publish(sweep_topic(sweep), {"telemetry": {"running": 0, "share": None}})
        for sweep, words in news.items():
            if words != self._told.get(sweep):
                self._bus.publish(sweep_topic(sweep), {"telemetry": words})
        self._told = dict(news)

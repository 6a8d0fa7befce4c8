"""Spans of the dispatcher through OpenTelemetry's API: nothing at all unless its SDK is set up.

FastAPI makes those of requests by itself; docs/observability.md says how both are switched on.
"""

import time
from collections.abc import Collection, Mapping

from opentelemetry.trace import Tracer, get_tracer

from service.dispatch.peers import Peer
from service.dispatch.watch import Call, Turned

_NS = 1_000_000_000


def tracer() -> Tracer:
    """Where spans go: to whoever is set up, now or later."""
    return get_tracer("seedbed")


def _about(call: Call) -> dict[str, str | int]:
    return {"seedbed.worker": call.worker, "seedbed.lane_steps": call.lane_steps}


class DispatchSpans:
    """A Watch that makes a span of each committed turn, and of each call that it had answered."""

    def __init__(self, to: Tracer) -> None:
        self._to = to

    def turned(self, turned: Turned) -> None:
        """A turn was committed just now."""
        end = time.time_ns()
        counts = {"seedbed.claimed": turned.claimed, "seedbed.late_writes": turned.refused}
        self._span("turn", end, turned.seconds, counts)
        for call in turned.calls:
            self._span("advance", end, call.seconds, _about(call))

    def _span(
        self, name: str, end: int, seconds: float, attributes: Mapping[str, str | int]
    ) -> None:
        start = end - int(seconds * _NS)
        self._to.start_span(name, start_time=start, attributes=attributes).end(end)

    def failed(self, *, unreachable: bool) -> None:
        """Nothing: the log has it."""

    def stands(self, peers: Collection[Peer], wanted: int, lanes: int) -> None:
        """Nothing: metrics have it."""

    def rests(self) -> None:
        """Nothing."""

"""The dispatcher's metrics: a Watch that counts into a Prometheus registry."""

import time
from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.dispatch.peers import Peer
from service.dispatch.watch import Turned
from service.observe.exposition import NAMESPACE

#: a turn is one transaction: milliseconds, or it waits for somebody
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class DispatchMetrics:
    """Counts what one dispatcher does.

    Args:
        registry: where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(name, what, labels, namespace=NAMESPACE, registry=registry)

        def gauge(name: str, what: str) -> Gauge:
            return Gauge(name, what, namespace=NAMESPACE, registry=registry)

        self._active = gauge("dispatcher_active", "Whether this dispatcher holds the lease.")
        self._turns = Histogram(
            "turn_duration_seconds",
            "How long committed turns of the dispatcher took.",
            namespace=NAMESPACE,
            registry=registry,
            buckets=_BUCKETS,
        )
        self._failed = counter(
            "turns_failed_total", "Turns that failed, by why: store or fault.", ("why",)
        )
        self._claims = counter("claims_total", "Trials claimed for workers.")
        self._claimed_at = gauge(
            "last_claim_timestamp_seconds", "When a trial was last claimed; 0 before the first."
        )
        self._outcomes = counter(
            "outcomes_total", "Outcomes that workers returned, late ones too.", ("end_state",)
        )
        self._raised = counter("attempts_raised_total", "Attempts that raised.")
        self._dropped = counter("trials_dropped_total", "Trials dropped because a sweep ended.")
        self._steps = counter("lane_steps_total", "Lane-steps that workers trained.")
        self._training = counter("training_seconds_total", "Seconds of workers spent training.")
        self._workers_lost = counter("workers_lost_total", "Workers that died or hung.")
        self._trials_lost = counter("trials_lost_total", "Trials that lost workers held.")
        self._refused = counter("late_writes_refused_total", "Late writes that were refused.")
        self._taken = counter(
            "trials_taken_over_total", "Trials handed back that no worker held any more."
        )
        self._replayed = counter("replays_answered_total", "Answers of workers that replay.")
        self._ready = gauge("workers_ready", "Workers that have described themselves.")
        self._wanted = gauge("workers_wanted", "Workers that there should be.")
        self._held = gauge("trials_held", "Trials that workers train or keep in their buffers.")
        self._lanes = gauge("lanes_held", "Lanes that are taken on workers that are ready.")
        self._places = gauge("lane_places", "Lanes that workers that are ready have room for.")
        self._occupancy = gauge("lane_occupancy_ratio", "Lanes held by lane places, 0 to 1.")
        for why in ("store", "fault"):
            self._failed.labels(why)
        for state in ("finished", "left", "diverged"):
            self._outcomes.labels(state)

    def turned(self, turned: Turned) -> None:
        """A turn was committed."""
        self._turns.observe(turned.seconds)
        self._claims.inc(turned.claimed)
        if turned.claimed:
            self._claimed_at.set(time.time())
        for state, count in turned.outcomes.items():
            self._outcomes.labels(state).inc(count)
        self._raised.inc(turned.raised)
        self._dropped.inc(turned.dropped)
        self._steps.inc(turned.lane_steps)
        self._training.inc(turned.training_s)
        self._workers_lost.inc(turned.workers_lost)
        self._trials_lost.inc(turned.trials_lost)
        self._refused.inc(turned.refused)
        self._taken.inc(turned.taken_over)
        self._replayed.inc(turned.replayed)

    def failed(self, *, unreachable: bool) -> None:
        """A turn failed."""
        self._failed.labels("store" if unreachable else "fault").inc()

    def stands(self, peers: Collection[Peer], wanted: int, lanes: int) -> None:
        """The workers as they are; what waits in a buffer takes no lane."""
        self._active.set(1)
        ready = [peer for peer in peers if peer.description is not None]
        held = sum(min(len(peer.held), lanes) for peer in ready)
        self._ready.set(len(ready))
        self._wanted.set(wanted)
        self._held.set(sum(len(peer.held) for peer in ready))
        self._lanes.set(held)
        self._places.set(len(ready) * lanes)
        self._occupancy.set(held / (len(ready) * lanes) if ready else 0.0)

    def rests(self) -> None:
        """It has no workers any more."""
        self.stands((), 0, 0)
        self._active.set(0)

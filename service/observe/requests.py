"""Latencies of requests, by route template and status: no path, no id, no name of a user."""

from prometheus_client import CollectorRegistry, Gauge, Histogram

from service.observe.exposition import NAMESPACE

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: the route of a path that is none
NONE = "none"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """Counts what one process answers.

    Args:
        registry: where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._took = Histogram(
            "request_duration_seconds",
            "From a request to the end of its answer, of a stream of events to its beginning.",
            ("method", "route", "status"),
            namespace=NAMESPACE,
            registry=registry,
            buckets=_BUCKETS,
        )
        self._open = Gauge(
            "requests_open", "Requests in work.", namespace=NAMESPACE, registry=registry
        )

    def began(self) -> None:
        """A request came."""
        self._open.inc()

    def ended(self) -> None:
        """It is over."""
        self._open.dec()

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """It was answered; methods that nobody knows are one."""
        known = method if method in _METHODS else "other"
        self._took.labels(known, route or NONE, str(status)).observe(seconds)

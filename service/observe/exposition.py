"""Prometheus's text format, of a registry that each process makes for itself."""

import contextlib
from collections.abc import Iterator

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
#: every name of ours begins so
NAMESPACE = "seedbed"

disable_created_metrics()  # type: ignore[no-untyped-call]  # one series more each, read by nobody


def new_registry() -> CollectorRegistry:
    """An empty registry, but for what the system says of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """Everything as it stands."""
    return generate_latest(registry)


@contextlib.contextmanager
def exposed(registry: CollectorRegistry, host: str, port: int) -> Iterator[int]:
    """Serves a registry, and nothing else, on a port of its own; gives the port, if it was 0.

    Raises:
        OSError: the port is in use.
    """
    server, thread = start_http_server(port, host, registry)
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

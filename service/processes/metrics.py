"""A dispatcher's metrics on a port of their own, where one is given."""

import contextlib
from collections.abc import Iterator

from prometheus_client import CollectorRegistry

from service.configuration import Configuration
from service.observe.exposition import exposed
from service.processes.binding import PortTakenError, url_of
from service.processes.logs import say


@contextlib.contextmanager
def own_metrics(configuration: Configuration, registry: CollectorRegistry) -> Iterator[None]:
    """Serves them until the block ends, and says where.

    Raises:
        PortTakenError: the port is in use.
    """
    host, port = configuration.host, configuration.metrics_port
    with contextlib.ExitStack() as ending:
        if port is not None:
            try:
                found = ending.enter_context(exposed(registry, host, port))
            except OSError as error:
                raise PortTakenError(
                    f"port {port} on {host} is in use ({error.strerror}); the dispatcher's metrics "
                    "need one of their own; set SEEDBED_METRICS_PORT to another, or unset it"
                ) from error
            say(f"metrics are on {url_of(host, found)}/metrics")
        yield

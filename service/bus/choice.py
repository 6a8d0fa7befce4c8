"""The bus and the limits that a process has, and the thread in it that hears wake-ups."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from service.bus.limits import Limits, LocalLimits, Rate
from service.bus.local import LocalBus
from service.bus.protocol import WAKE, Bus
from service.bus.redis import RedisBus
from service.bus.shared_limits import SharedLimits
from service.configuration import Configuration

#: a listener looks this often whether it is still wanted
LOOK_S = 0.5


def bus_of(configuration: Configuration) -> Bus:
    """Through Redis if there is one, else within this process; `close` it."""
    url = configuration.redis_url
    return LocalBus() if url is None else RedisBus(url.get_secret_value())


def limits_of(configuration: Configuration, bus: Bus) -> Limits | None:
    """Kept by all processes together where there is a Redis; None where nobody is limited."""
    if configuration.rate_limit == 0:
        return None
    rate, url = Rate(configuration.rate_limit), configuration.redis_url
    if url is None or not isinstance(bus, RedisBus):
        return LocalLimits(rate)
    return SharedLimits(rate, url.get_secret_value(), bus.link)


@contextlib.contextmanager
def waking(bus: Bus, wake: Callable[[], None]) -> Iterator[None]:
    """Calls `wake` whenever the queue may have changed, in a thread, until the block ends."""
    over = threading.Event()

    def listen() -> None:
        with bus.subscribe(WAKE) as heard:
            while not over.is_set():
                if heard.next(LOOK_S) is not None:
                    wake()

    thread = threading.Thread(target=listen, name="wake", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

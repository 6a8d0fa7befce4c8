"""The bus that a process has, and the thread in it that hears wake-ups."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from service.bus.local import LocalBus
from service.bus.protocol import WAKE, Bus
from service.bus.redis import RedisBus
from service.configuration import Configuration

#: a listener looks this often whether it is still wanted
LOOK_S = 0.5


def bus_of(configuration: Configuration) -> Bus:
    """Through Redis if there is one, else within this process; `close` it."""
    url = configuration.redis_url
    return LocalBus() if url is None else RedisBus(url.get_secret_value())


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

"""How long the machine kept a thread waiting that had slept enough: what a busy hour adds."""

import threading
import time
from typing import Self

EVERY_S = 0.05


class Stalls:
    """Measures while it is entered; on a machine with a core to spare it comes to next to nothing.

    Attributes:
        seconds: so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _measure(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            time.sleep(EVERY_S)
            self.seconds += max(0.0, time.monotonic() - began - EVERY_S)

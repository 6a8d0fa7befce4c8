"""Signals: the first asks a process for a clean stop, a second cuts that short."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def handlers(stop: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM ask for a clean stop, see `catch`, until the block ends."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    catch(stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def catch(stop: threading.Event) -> None:
    """The first SIGINT or SIGTERM asks for a clean stop; each one more is a KeyboardInterrupt."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in SIGNALS:
        signal.signal(number, ask)

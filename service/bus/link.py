"""Whether Redis answers, as all of a process sees it: one line when it is lost, one when back.

It is the circuit too: whoever meets a failure says so here, and nobody tries again until the one
that probes has had an answer.
"""

import threading

import structlog

log = structlog.get_logger()


class Link:
    """The state of the way to one Redis; safe to use from any thread.

    Args:
        where: the server as logs name it, without credentials.

    Attributes:
        losses: how often it was lost; who is connected since before the last loss connects anew.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.losses = 0
        self._up = True
        self._changed = threading.Condition()

    @property
    def up(self) -> bool:
        """Whether to try at all."""
        return self._up

    def lost(self, error: Exception) -> None:
        """Somebody met a failure."""
        with self._changed:
            if not self._up:
                return
            self._up = False
            self.losses += 1
            self._changed.notify_all()
        log.warning(
            "redis_lost",
            server=self.where,
            error=str(error) or type(error).__name__,
            cure="nothing is lost with it: views are slower, each API replica limits by itself; "
            "it is tried until it answers",
        )

    def back(self) -> None:
        """It answered again."""
        with self._changed:
            if self._up:
                return
            self._up = True
            self._changed.notify_all()
        log.info("redis_back", server=self.where)

    def wait(self, timeout_s: float, *, up: bool) -> bool:
        """Waits until it is up, or down; False if it is not so after the time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._up is up, timeout_s)

"""Watches a sweep until it ends or the service paused it: a live table, or lines for a log file."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.live import Live

from service.cli.picture import draw, headline, plain_line
from service.client import Client, ServiceUnreachableError

#: without a terminal a line is written after so long, or so much
LINE_S = 10.0
LINE_SHARE = 0.05
#: a service that restarts is waited for
PATIENCE_S = 30.0

Show = Callable[[Mapping[str, Any], str], None]


def watch(
    client: Client,
    sweep_id: str,
    console: Console,
    poll_s: float = 1.0,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Shows progress and returns the sweep once it has ended or the service has paused it.

    A sweep that a person paused is watched on. A service that does not answer is waited for.

    Raises:
        ServiceError: there is no such sweep.
        ServiceUnreachableError: the service did not answer for 30 s.
    """
    sweep = client.sweep(sweep_id)
    with _shown(sweep["name"], console, clock) as show:
        progress = client.progress(sweep_id)
        answered = clock()
        show(progress, "")
        while not over(progress):
            wait(poll_s)
            try:
                progress = client.progress(sweep_id)
            except ServiceUnreachableError:
                if clock() - answered > PATIENCE_S:
                    raise
                show(progress, "the service does not answer at present; asking again")
                continue
            answered = clock()
            show(progress, "")
    return client.sweep(sweep_id)


def over(progress: Mapping[str, Any]) -> bool:
    """Whether nothing more happens unless somebody acts."""
    paused_by_service = progress["state"] == "paused" and progress.get("reason") is not None
    return progress["state"] in ("finished", "cancelled") or paused_by_service


@contextlib.contextmanager
def _shown(name: str, console: Console, clock: Callable[[], float]) -> Iterator[Show]:
    if not console.is_terminal:
        yield _Lines(name, console, clock)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda progress, notice: live.update(draw(name, progress, notice), refresh=True)


class _Lines:
    """Writes a line when enough time has passed or enough has changed."""

    def __init__(self, name: str, console: Console, clock: Callable[[], float]) -> None:
        self._name, self._console, self._clock = name, console, clock
        self._last: tuple[float, int, str] | None = None

    def __call__(self, progress: Mapping[str, Any], notice: str) -> None:
        ended: int = progress["ended"]
        state = notice or progress["state"]
        if self._last is None:
            self._write(headline(self._name, progress))
        elif (
            state == self._last[2]
            and ended - self._last[1] < LINE_SHARE * progress["trials"]
            and self._clock() - self._last[0] < LINE_S
        ):
            return
        else:
            self._write(notice or plain_line(progress))
        self._last = (self._clock(), ended, state)

    def _write(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

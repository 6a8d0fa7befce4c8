"""Watches a sweep until it ends or the service paused it: a live table, or lines for a log file."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.live import Live

from service.cli.picture import draw, headline, plain_line
from service.client import Client, ServiceError, ServiceUnreachableError

#: without a terminal a line is written after so long, or so much
LINE_S = 10.0
LINE_SHARE = 0.05
#: a service that restarts is waited for
PATIENCE_S = 30.0
#: where the service did not tell, it is asked to again after so long
LISTEN_AGAIN_S = 15.0
#: said below a table, and in no log
NOT_LIVE = "not live: asking every second"

Show = Callable[[Mapping[str, Any], str], None]


def watch(
    client: Client,
    sweep_id: str,
    console: Console,
    poll_s: float = 1.0,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
    listen: Callable[[Client, str], Iterator[Mapping[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Shows progress and returns the sweep once it has ended or the service has paused it.

    The service tells what is new as it happens; where it cannot, it is asked, and told again later.
    A sweep that a person paused is watched on. A service that does not answer is waited for.

    Args:
        client: of the service.
        sweep_id: the sweep.
        console: where to show it.
        poll_s: how often to ask.
        clock, wait: time.
        listen: a sweep's progress whenever the service tells it; from its events unless given.

    Raises:
        ServiceError: there is no such sweep.
        ServiceUnreachableError: the service did not answer for 30 s.
    """
    sweep = client.sweep(sweep_id)
    with _shown(sweep["name"], console, clock) as show:
        progress: Mapping[str, Any] = client.progress(sweep_id)
        answered, listen_at = clock(), -math.inf
        show(progress, "")
        while not over(progress):
            if clock() >= listen_at:
                with contextlib.suppress(ServiceError, ServiceUnreachableError):
                    for progress in (listen or told)(client, sweep_id):
                        answered = clock()
                        show(progress, "")
                        if over(progress):
                            break
                listen_at = clock() + LISTEN_AGAIN_S
                if over(progress):
                    break
            wait(poll_s)
            try:
                progress = client.progress(sweep_id)
            except ServiceUnreachableError:
                if clock() - answered > PATIENCE_S:
                    raise
                show(progress, "the service does not answer at present; asking again")
                continue
            answered = clock()
            show(progress, NOT_LIVE)
    return client.sweep(sweep_id)


def told(client: Client, sweep_id: str) -> Iterator[Mapping[str, Any]]:
    """Progress, whenever the service tells it.

    Raises:
        ServiceError: it has no place for one more who listens.
        ServiceUnreachableError: it broke off.
    """
    for event in client.events(sweep_id):
        if event.name == "progress":
            yield json.loads(event.data)


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
        notice = "" if notice == NOT_LIVE else notice
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

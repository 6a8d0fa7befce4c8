"""A live table of a sweep: arrivals as progress, rates of settled seeds only."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.client import Client

ENDED = ("finished", "cancelled")
#: without a terminal, a line is printed each time so much more has ended
STEP = 0.05


def watch(
    client: Client,
    sweep: str,
    console: Console,
    *,
    poll_s: float = 1.0,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Follows a sweep until it ends or the service pauses it; returns it as it then is."""
    progress = client.progress(sweep)
    if console.is_terminal:
        with Live(table(progress), console=console, transient=False) as live:
            while not over(progress):
                wait(poll_s)
                progress = client.progress(sweep)
                live.update(table(progress))
        return client.sweep(sweep)
    shown = -1.0
    while True:
        done = progress["ended"] / progress["trials"]
        if done >= shown + STEP or (over(progress) and done != shown):
            console.print(line(progress), soft_wrap=True, highlight=False)
            shown = done
        if over(progress):
            return client.sweep(sweep)
        wait(poll_s)
        progress = client.progress(sweep)


def over(progress: dict[str, Any]) -> bool:
    """Whether nothing will change without somebody's doing."""
    stuck = progress["state"] == "paused" and progress["running"] == 0
    return progress["state"] in ENDED or stuck


def table(progress: dict[str, Any]) -> Group:
    """Bars of what has ended, and the settled rates beside them."""
    found = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("arm", "ended", "", "settled", *map(rule, criteria(progress))):
        found.add_column(name)
    for arm in progress["arms"]:
        ended = sum(arm["ended"].values())
        found.add_row(
            arm["name"],
            f"{ended} of {arm['trials']}",
            ProgressBar(total=arm["trials"], completed=ended, width=24),
            str(arm["settled"]["trials"]),
            *(rate(c["successes"], arm["settled"]["trials"]) for c in arm["settled"]["successes"]),
        )
    return Group(found, Text(footer(progress), style="dim"))


def footer(progress: dict[str, Any]) -> str:
    """State, cohorts and what the rates are of."""
    cohorts = progress["cohorts"]
    parts = [
        progress["state"],
        f"cohorts settled {cohorts['settled']} of {cohorts['total']}",
        "rates are of settled seeds; intervals come with the finished report",
    ]
    if progress["eta_s"] is not None:
        parts.insert(1, f"about {progress['eta_s']:.0f} s left")
    return " · ".join(parts)


def line(progress: dict[str, Any]) -> str:
    """The same in one line, for logs."""
    arms = []
    for arm in progress["arms"]:
        settled = arm["settled"]
        won = next(c for c in settled["successes"] if c["primary"])
        arms.append(
            f"{arm['name']} {sum(arm['ended'].values())}/{arm['trials']} ended, settled "
            f"{rate(won['successes'], settled['trials'])}"
        )
    return f"{progress['state']}: {'; '.join(arms)}"


def criteria(progress: dict[str, Any]) -> list[dict[str, Any]]:
    """The sweep's criteria."""
    found: list[dict[str, Any]] = progress["arms"][0]["settled"]["successes"]
    return found


def rule(criterion: dict[str, Any]) -> str:
    """A criterion in short."""
    sign = "<=" if criterion["comparison"] == "at_most" else ">="
    return f"{criterion['metric']} {sign} {criterion['threshold']:g}"


def rate(successes: int, trials: int) -> str:
    """k/n and percent; a dash before anything is settled."""
    return f"{successes}/{trials} = {100 * successes / trials:.0f} %" if trials else "-"

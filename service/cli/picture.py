"""A sweep's progress drawn for a terminal; arrivals are bars, rates are of settled seeds only."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.words import duration, rate, rule, threshold

#: thresholds that fit a terminal; the report has all of them
_MOST_THRESHOLDS = 4
_BAR_WIDTH = 24
NOTE = "Rates are of settled seeds only; intervals with the finished report."


def draw(name: str, progress: Mapping[str, Any], notice: str = "") -> RenderableType:
    """A table with one row an arm; `notice` is a passing remark below it."""
    shown = chosen(progress)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("arm", no_wrap=True, max_width=24)
    table.add_column("ended of total", no_wrap=True, min_width=_BAR_WIDTH)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("settled", justify="right", no_wrap=True)
    for place, criterion in enumerate(shown):
        heading = rule(criterion) if place == 0 else threshold(criterion)
        style = "bold" if criterion["primary"] else "dim"
        table.add_column(Text(heading, style=style), justify="right", no_wrap=True)
    for arm in progress["arms"]:
        table.add_row(*_row(arm, shown))
    lines: list[RenderableType] = [Text(headline(name, progress), style="bold"), table]
    lost = sum(arm["errored"] for arm in progress["arms"])
    if lost:
        lines.append(Text(f"{lost} trials errored; `seedbed show` names them", style="yellow"))
    lines.append(Text(_note(progress, shown), style="dim"))
    if notice:
        lines.append(Text(notice, style="yellow"))
    return Group(*lines)


def _row(arm: Mapping[str, Any], shown: list[Mapping[str, Any]]) -> list[RenderableType]:
    settled = arm["settled"]["trials"]
    won = [c for c in arm["settled"]["successes"] if _key(c) in {_key(s) for s in shown}]
    return [
        Text(arm["name"]),
        ProgressBar(total=arm["trials"], completed=arm["ended"], width=_BAR_WIDTH),
        Text(f"{arm['ended']}/{arm['trials']}"),
        Text(str(settled)),
        *(
            Text(rate(c["successes"], settled), style="bold" if c["primary"] else "")
            for c in sorted(won, key=lambda c: [_key(s) for s in shown].index(_key(c)))
        ),
    ]


def chosen(progress: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The criteria that fit: the primary one first, then the strictest others."""
    every = progress["arms"][0]["settled"]["successes"] if progress["arms"] else []
    return sorted(every, key=lambda c: not c["primary"])[:_MOST_THRESHOLDS]


def _key(criterion: Mapping[str, Any]) -> tuple[Any, ...]:
    return criterion["metric"], criterion["comparison"], criterion["threshold"], criterion["at"]


def headline(name: str, progress: Mapping[str, Any]) -> str:
    """One line: name, state, how far, how long."""
    cohorts = progress["cohorts"]
    parts = [
        f"{name}: {progress['state']}",
        f"{progress['ended']} of {progress['trials']} trials ended",
        f"{cohorts['settled']} of {cohorts['total']} cohorts settled",
        *_running(progress),
    ]
    if progress.get("eta_s") is not None:
        parts.append(f"about {duration(progress['eta_s'])} left")
    return ", ".join(parts)


def _running(progress: Mapping[str, Any]) -> list[str]:
    """How far the running trials are, where that is known."""
    share = progress.get("running_share")
    if share is None or not progress["running"]:
        return []
    return [f"{progress['running']} running, {100 * share:.0f} % through on average"]


def plain_line(progress: Mapping[str, Any]) -> str:
    """The same for a log file: one line, without colour or cursor movement."""
    gone, trials = progress["ended"], progress["trials"]
    cohorts = progress["cohorts"]
    parts = [
        f"{progress['state']}: {gone} of {trials} trials ended ({100 * gone // max(1, trials)} %)",
        f"{cohorts['settled']} of {cohorts['total']} cohorts settled",
        *_running(progress),
    ]
    first = next(iter(chosen(progress)), None)
    if first is not None and cohorts["settled"]:
        rates = (
            f"{arm['name']} {rate(c['successes'], arm['settled']['trials'])}"
            for arm in progress["arms"]
            for c in arm["settled"]["successes"]
            if _key(c) == _key(first)
        )
        parts.append(f"settled with {rule(first)}: {', '.join(rates)}")
    if progress.get("eta_s") is not None:
        parts.append(f"about {duration(progress['eta_s'])} left")
    return "; ".join(parts)


def _note(progress: Mapping[str, Any], shown: list[Mapping[str, Any]]) -> str:
    every = progress["arms"][0]["settled"]["successes"] if progress["arms"] else []
    hidden = len(every) - len(shown)
    return NOTE + (f" {hidden} more thresholds stand in the report." if hidden else "")

"""A sweep's progress drawn for a terminal; arrivals are bars, rates are of settled seeds only."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.words import eta, evidence, heading, rate, rule, silent, stop_rule, stopped

#: thresholds that fit a terminal; the report has all of them
_MOST_THRESHOLDS = 4
_BAR_WIDTH = 24
NOTE = "Rates are of settled seeds only; intervals in brackets hold at any look."


def draw(name: str, progress: Mapping[str, Any], notice: str = "") -> RenderableType:
    """A table with one row an arm; `notice` is a passing remark below it."""
    shown = chosen(progress)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("arm", no_wrap=True, max_width=24)
    table.add_column("ended of total", no_wrap=True, min_width=_BAR_WIDTH)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("settled", justify="right", no_wrap=True)
    for criterion in shown:
        text = heading(criterion, shown[0])
        style = "bold" if criterion["primary"] else "dim"
        table.add_column(Text(text, style=style), justify="right", no_wrap=True)
    for arm in progress["arms"]:
        table.add_row(*_row(arm, shown))
    lines: list[RenderableType] = [Text(headline(name, progress), style="bold"), table]
    lines += [Text(line) for line in _evidence(progress)]
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
            Text(_rate(c, settled), style="bold" if c["primary"] else "")
            for c in sorted(won, key=lambda c: [_key(s) for s in shown].index(_key(c)))
        ),
    ]


def _rate(criterion: Mapping[str, Any], settled: int) -> str:
    """With its confidence sequence where it is the primary one: more would not fit."""
    text = rate(criterion["successes"], settled)
    found = criterion["anytime"]
    if found is None or not criterion["primary"]:
        return text
    return f"{text} [{100 * found[0]:.1f}, {100 * found[1]:.1f}]"


def _evidence(progress: Mapping[str, Any]) -> list[str]:
    """The contrasts at the primary criterion, and what its stop rule waits for or decided."""
    if not progress["cohorts"]["settled"]:
        return []
    primary = [e for e in progress["evidence"] if e["primary"]]
    others = [
        e
        for e in progress["evidence"]
        if primary and not e["primary"] and _key(e) == _key(primary[0])
    ]
    found = [*map(evidence, primary), *(f"{evidence(e)} (exploratory)" for e in others)]
    return [*found, *_stop(progress)]


def _stop(progress: Mapping[str, Any]) -> list[str]:
    rule = progress["stop"]
    if rule is None:
        return []
    if rule["stopped"] is not None:
        return [stopped(rule["stopped"], progress["cohorts"]["total"])]
    going = progress["state"] in ("waiting", "running")
    return [silent(rule) or f"stops {stop_rule(rule)}"] if going else []


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
    left = eta(progress)
    if left is not None:
        parts.append(left)
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
        parts += [evidence(e) for e in progress["evidence"] if e["primary"]]
    if progress["stop"] is not None and progress["stop"]["stopped"] is not None:
        parts += _stop(progress)
    left = eta(progress)
    if left is not None:
        parts.append(left)
    return "; ".join(parts)


def _note(progress: Mapping[str, Any], shown: list[Mapping[str, Any]]) -> str:
    every = progress["arms"][0]["settled"]["successes"] if progress["arms"] else []
    hidden = len(every) - len(shown)
    return NOTE + (f" {hidden} more thresholds stand in the report." if hidden else "")

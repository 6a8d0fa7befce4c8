"""`seedbed plan`: what a sweep would run, take and be able to show, before it is submitted."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.connection import (
    DEFAULT,
    USAGE,
    PresetName,
    SpecFile,
    Url,
    connected,
    console,
    fail,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

#: one binary unit of the next
_KIB = 1024
#: from so many percent on a chance is not told more exactly
_ALL = 99.9


def plan(
    file: SpecFile = None,
    *,
    preset: PresetName = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="As if with so many seeds a cell.")
    ] = None,
    baseline: Annotated[
        float | None,
        typer.Option("--baseline", help="Expected success rate of the arm compared against."),
    ] = None,
    effect: Annotated[
        float | None,
        typer.Option("--effect", help="Least difference of the rates that matters, as 0.03."),
    ] = None,
    correlation: Annotated[
        float | None,
        typer.Option("--correlation", help="Expected correlation within pairs; 0 is cautious."),
    ] = None,
    wanted: Annotated[
        float | None, typer.Option("--power", help="Wanted chance to find the effect: 0.9.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As the service's JSON.")] = False,
    url: Url = DEFAULT,
) -> None:
    """Say what a sweep would run, take and be able to show; nothing is stored."""
    from service.cli.submit import override, spec_of

    if (file is None) == (preset is None):
        fail(
            "plan takes a FILE or --preset NAME, exactly one of them; "
            "`seedbed presets` lists the presets",
            USAGE,
        )
    given = {"baseline": baseline, "effect": effect, "correlation": correlation, "wanted": wanted}
    with connected(url) as client:
        spec = spec_of(client, file, preset)
        override(spec, seeds=seeds)
        expected = {key: value for key, value in given.items() if value is not None}
        if expected:
            spec["power"] = {**(spec.get("power") or {}), **expected}
        found = client.submit(spec, dry_run=True)
        pace = client.preset(preset)["pace"] if preset is not None else None
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for part in draw(found, pace):
        console().print(part, highlight=False)


def draw(found: dict[str, Any], pace: float | None) -> "Iterator[RenderableType]":
    """A dry run's answer as two tables and what to do next.

    Args:
        pace: lane-steps a second of one core, as a preset says of the machine it was made on.
    """
    from rich.text import Text

    yield Text(f"{found['name']}: nothing is stored yet", style="bold")
    yield _table(_size(found, pace))
    power = found["power"]
    yield Text("")
    if power is None:
        yield Text("What it could show: not asked", style="bold")
        yield Text("  --baseline RATE --effect DIFFERENCE, or in the spec `power: {baseline: RATE,")
        yield Text(
            "  effect: DIFFERENCE}`, ask how likely it is to find that and how many seeds it takes"
        )
        return
    yield Text(f"What it could show of {power['arm']} against {power['against']}", style="bold")
    yield _table(_shows(power, found))


def _table(rows: Iterator[tuple[str, str]]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in rows:
        table.add_row(Text(f"  {name}"), Text(value))
    return table


def _size(found: dict[str, Any], pace: float | None) -> Iterator[tuple[str, str]]:
    arms, settings = len(found["arms"]), found["settings"]
    parts = [_many(arms, "arm"), _many(settings, "setting"), _many(found["seeds"], "seed")]
    yield "trials", f"{found['trials']:,} = {' x '.join(parts)}"
    yield "cohorts", f"{found['cohorts']:,}; rates and evidence advance by whole ones"
    packs = f"{_many(found['packs'], 'pack')} of up to {found['lanes']} lanes"
    yield "packs", f"{packs}, of {_many(found['structures'], 'structure')}"
    memory = found["memory"]
    yield (
        "memory",
        "known once it trains"
        if memory is None
        else f"at most {_size_of(memory['pack_bytes'])} a pack",
    )
    yield "disk", f"about {_size_of(found['disk_bytes'])} of records"
    if found["kept_bytes"] is None:
        yield "weights", "kept; how large they are is known once they train"
    elif found["kept_bytes"]:
        yield "weights", f"at most {_size_of(found['kept_bytes'])} kept"
    yield from _time(found["time"], pace)


def _time(time: dict[str, Any], pace: float | None) -> Iterator[tuple[str, str]]:
    if time["device_hours"] is not None:
        yield "device time", _range([3600 * h for h in time["device_hours"]])
        if time["seconds"] is not None:
            workers = _many(time["workers"], "worker")
            yield "lasts", f"{_range(time['seconds'])} on {workers}"
        yield "", time["says"]
    else:
        yield "time", time["says"]
        if pace is not None:
            from service.words import duration

            yield "", f"a core did {pace:,.0f} lane-steps/s where this preset was made, which makes"
            yield "", f"{duration(time['lane_steps'] / pace)} of such a core; yours will differ"
    if time["cure"] is not None:
        yield "", time["cure"]


def _shows(power: dict[str, Any], found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    low, high = power["correlation_possible"]
    rates = f"{100 * power['baseline']:.4g} % -> {100 * power['rate']:.4g} %"
    possible = f"possible: {low:.2f} to {high:.2f}"
    yield "expected", f"{rates}, correlation within pairs {power['correlation']:g} ({possible})"
    share = 100 * power["power"]
    chance = f"{share:.1f} %" if share < _ALL else f"more than {_ALL} %"
    yield "as it stands", f"{_many(power['pairs'], 'pair')} find it with a chance of {chance}"
    sides = "two-sided" if power["sided"] == "two" else f"one-sided, {power['sided']}"
    yield "", f"(exact McNemar test, {sides}, alpha {power['alpha']:g})"
    share = f"{100 * power['wanted']:g} %"
    yield f"for {share}", _enough(power, found["settings"])
    yield from _rules(power)


def _rules(power: dict[str, Any]) -> Iterator[tuple[str, str]]:
    rule = power["evidence"]
    chance = _chance(rule)
    yield "looking on", f"stop: {{when: evidence}} comes to a decision in {chance} of all cases;"
    saved = f"{100 * rule['saved']:.0f} % of the pairs are saved"
    yield "", f"that takes {rule['mean_pairs']:,.0f} pairs on average, so that {saved};"
    half, most = (f"{rule[f'{name}_pairs']:,}" for name in ("median", "ninety_percent"))
    yield "", f"at most {half} pairs in half of all cases, at most {most} in nine of ten"
    if not rule["declared"]:
        yield "", "(the spec declares no such stop: it would run to its end)"
    futile = power["futile"]
    if futile is not None:
        chance = _chance(futile)
        yield "futile", f"if in truth the arms do not differ, {chance} are given up before the end;"
        yield "", f"that takes {futile['mean_pairs']:,.0f} pairs on average"


def _chance(rule: dict[str, Any]) -> str:
    """`53.5 %`, with the error where it was simulated."""
    share, error = 100 * rule["decided"], 200 * rule["decided_error"]
    if share >= _ALL:
        return f"more than {_ALL} %"
    return f"{share:.1f} %" + (f" (+- {error:.1f})" if error else "")


def _enough(power: dict[str, Any], settings: int) -> str:
    """How many pairs and seeds find the effect with the wanted chance."""
    if power["pairs_wanted"] is None:
        return "more pairs than any sweep has"
    seeds = f"seeds: {power['seeds_wanted']}"
    each = "" if settings == 1 else f" ({settings} settings x {power['seeds_wanted']:,} pairs)"
    return f"{_many(power['pairs_wanted'], 'pair')}, that is {seeds}{each}"


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def _range(seconds: list[float]) -> str:
    from service.words import duration

    low, high = (duration(s) for s in seconds)
    return f"about {low}" if low == high else f"{low} to {high}"


def _size_of(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < _KIB:
            return f"{size:,.0f} {unit}"
        size /= _KIB
    return f"{size:,.1f} TiB"

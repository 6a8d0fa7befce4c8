"""`seedbed submit` and `seedbed watch`: from a spec to a sweep that runs while one looks on."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.change import Labels, Note, Priority
from service.cli.connection import (
    DEFAULT,
    INTERRUPTED,
    REFUSED,
    USAGE,
    PresetName,
    SpecFile,
    SweepId,
    Url,
    connected,
    console,
    fail,
)

if TYPE_CHECKING:
    from service.client import Client


def submit(
    file: SpecFile = None,
    *,
    preset: PresetName = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="So many seeds a cell.")
    ] = None,
    root: Annotated[
        str | None, typer.Option("--root", help="The root of all randomness: 32 hex digits.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Another name.")] = None,
    priority: Priority = None,
    label: Labels = None,
    note: Note = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look on until it ends.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would run; nothing is stored.")
    ] = False,
    url: Url = DEFAULT,
) -> None:
    """Submit a sweep."""
    if (file is None) == (preset is None):
        fail(
            "submit takes a FILE or --preset NAME, exactly one of them; "
            "`seedbed presets` lists the presets",
            USAGE,
        )
    if watch and dry_run:
        fail("a dry run starts nothing that could be watched; drop --watch or --dry-run", USAGE)
    with connected(url) as client:
        spec = spec_of(client, file, preset)
        override(spec, seeds=seeds, root=root, name=name)
        handled = {"priority": priority, "labels": label, "note": note}
        spec.update({key: value for key, value in handled.items() if value})
        if dry_run:
            typer.echo(json.dumps(client.submit(spec, dry_run=True), indent=2))
            return
        sweep = client.submit(spec)
        typer.echo(sweep["id"])
        typer.echo(
            f"{sweep['trials']} trials of {sweep['name']!r}; dashboard: "
            f"{client.url}/sweeps/{sweep['id']}",
            err=True,
        )
        if watch:
            _look_on(client, sweep["id"])


def watch(sweep: SweepId, url: Url = DEFAULT) -> None:
    """Show a sweep's progress until it ends; Ctrl-C detaches, the sweep goes on."""
    with connected(url) as client:
        _look_on(client, sweep)


def spec_of(client: "Client", file: str | None, preset: str | None) -> dict[str, Any]:
    """The spec of a file, or of a preset where one is named."""
    from service.client import read_spec

    if preset is not None:
        return dict(client.preset(preset)["spec"])
    return read_spec(file if file == "-" else Path(file or ""))


def override(spec: dict[str, Any], *, seeds: int | None, **others: str | None) -> None:
    """Replaces keys of the spec; a cohort larger than the seeds shrinks with them, audibly."""
    if seeds is not None:
        spec["seeds"] = seeds
        cohort = spec.get("cohort")
        if isinstance(cohort, int) and cohort > seeds:
            spec["cohort"] = seeds
            typer.echo(f"cohort {cohort} -> {seeds}: a cohort is a part of the seeds", err=True)
    spec.update({key: value for key, value in others.items() if value is not None})


def _look_on(client: "Client", sweep: str) -> None:
    from service.cli.live import watch as look
    from service.words import stopped

    try:
        ended = look(client, sweep, console())
    except KeyboardInterrupt:
        typer.echo(
            f"\ndetached; sweep {sweep} goes on. Watch it again with `seedbed watch {sweep}`",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    if ended["state"] == "finished":
        rule, cohorts = ended["progress"]["stop"], ended["progress"]["cohorts"]["total"]
        early = rule is not None and rule["stopped"] is not None
        why = f": {stopped(rule['stopped'], cohorts)}" if early else ""
        typer.echo(f"finished{why}; `seedbed report {sweep}` prints its report", err=True)
        return
    reason = f" ({ended['reason']})" if ended.get("reason") else ""
    if ended.get("failing"):
        reason += f"\nIts first trials all died the same way: {ended['failing']}"
    default = (
        f"`seedbed report {sweep}` prints what was settled"
        if ended["state"] == "cancelled"
        else f"`seedbed resume {sweep}`"
    )
    fail(
        f"sweep {sweep} is {ended['state']}{reason}\nWhat to do: {ended.get('cure') or default}",
        REFUSED,
    )

"""Commands that speak to a running service through the client."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from service.client import Client

Url = Annotated[str, typer.Option("--url", envvar="SEEDBED_URL", help="where the service listens")]
Sweep = Annotated[str, typer.Argument(help="a sweep's id", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]
HERE = "http://127.0.0.1:8321"


def _client(url: str) -> "Client":
    from service.client import Client  # noqa: PLC0415 - keeps --help fast

    return Client(url)


def _console() -> "Console":
    from rich.console import Console  # noqa: PLC0415 - keeps --help fast

    return Console()


def submit(
    file: Annotated[
        str, typer.Argument(help="a spec in YAML or JSON; - reads from standard input")
    ] = "",
    preset: Annotated[str, typer.Option(help="submit a ready sweep instead of a file")] = "",
    seeds: Annotated[int, typer.Option(help="override the spec's seeds", min=0)] = 0,
    root: Annotated[str, typer.Option(help="override the spec's root; `draw` draws one")] = "",
    dry_run: Annotated[bool, typer.Option(help="say what it would run")] = False,
    watch_it: Annotated[bool, typer.Option("--watch", help="follow it to its report")] = False,
    url: Url = HERE,
) -> None:
    """Submit a sweep."""
    from service.cli.spec_file import read_spec  # noqa: PLC0415 - keeps --help fast

    if bool(file) == bool(preset):
        raise typer.BadParameter("give a FILE or --preset NAME, one of the two")
    with _client(url) as client:
        spec = client.preset(preset)["spec"] if preset else read_spec(file)
        if seeds:
            spec["seeds"] = seeds
            spec["cohort"] = min(spec.get("cohort") or seeds, seeds)
        if root:
            spec["root"] = None if root == "draw" else root
        console = _console()
        if dry_run:
            found = client.submit(spec, dry_run=True)
            for key in ("trials", "cells", "structures", "cohorts", "packs", "lanes", "disk_bytes"):
                console.print(f"{key:12} {found[key]:,}")
            console.print("nothing was stored")
            return
        sweep = client.submit(spec)
        console.print(
            f"{sweep['id']}  {sweep['trials']:,} trials, root {sweep['spec']['root']}\n"
            f"{url}/sweeps/{sweep['id']}",
            highlight=False,
        )
    if watch_it:
        watch(sweep["id"], url)
        report(sweep["id"], "markdown", None, url)


def watch(sweep: Sweep, url: Url = HERE) -> None:
    """Follow a sweep: bars of what has ended, rates of settled seeds."""
    from service.cli import live  # noqa: PLC0415 - keeps --help fast

    console = _console()
    with _client(url) as client:
        try:
            ended = live.watch(client, sweep, console)
        except KeyboardInterrupt:
            console.print(f"\nThe sweep goes on; `seedbed watch {sweep}` follows it again.")
            raise typer.Exit(0) from None
    if ended["state"] != "finished":
        console.print(f"{ended['state']}: {ended['reason'] or 'no reason given'}")
        if ended["cure"]:
            console.print(ended["cure"])
        raise typer.Exit(1)


def report(
    sweep: Sweep,
    format: Annotated[str, typer.Option(help="markdown, json or csv")] = "markdown",  # noqa: A002 - the agreed name
    output: Annotated[Path | None, typer.Option(help="write it here")] = None,
    url: Url = HERE,
) -> None:
    """Print a sweep's report."""
    with _client(url) as client:
        found = client.report(sweep, format)
    text = found if isinstance(found, str) else json.dumps(found, indent=2, sort_keys=True) + "\n"
    console = _console()
    if output is not None:
        output.write_text(text, encoding="utf-8")
        console.print(f"wrote {output}")
    elif format == "markdown" and console.is_terminal:
        from rich.markdown import Markdown  # noqa: PLC0415 - keeps --help fast

        console.print(Markdown(text))
    else:
        typer.echo(text, nl=False)


def listing(url: Url = HERE) -> None:
    """List sweeps, newest first."""
    from rich.table import Table  # noqa: PLC0415 - keeps --help fast

    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("id", "name", "experiment", "state", "ended", "created"):
        table.add_column(name, overflow="fold")
    with _client(url) as client:
        for s in client.sweeps():
            ended = f"{s['progress']['ended']} of {s['trials']}"
            created = s["created_at"][:16].replace("T", " ")
            table.add_row(s["id"], s["name"], s["experiment"], s["state"], ended, created)
    _console().print(
        table if table.row_count else "no sweep yet; `seedbed presets` lists ready ones"
    )


def show(sweep: Sweep, url: Url = HERE) -> None:
    """Show a sweep with its spec and counters, as JSON."""
    with _client(url) as client:
        _json(client.sweep(sweep))


def _json(body: Any) -> None:
    typer.echo(json.dumps(body, indent=2))


def pause(sweep: Sweep, url: Url = HERE) -> None:
    """Stop giving a sweep's trials to workers; what trains goes on to its end."""
    with _client(url) as client:
        found = client.pause(sweep)
    running = found["progress"]["running"]
    typer.echo(f"{found['state']}; {running} trials still train to their end")


def resume(
    sweep: Sweep,
    accept_class: Annotated[str | None, typer.Option(help="accept a new numerics class")] = None,
    url: Url = HERE,
) -> None:
    """Let a paused sweep go on."""
    with _client(url) as client:
        typer.echo(client.resume(sweep, accept_class)["state"])


def cancel(sweep: Sweep, yes: Yes = False, url: Url = HERE) -> None:
    """Cancel a sweep; outcomes that it has stay."""
    if not yes:
        typer.confirm(f"cancel {sweep}? what has not ended will never run", abort=True)
    with _client(url) as client:
        typer.echo(client.cancel(sweep)["state"])


def delete(sweep: Sweep, yes: Yes = False, url: Url = HERE) -> None:
    """Delete an ended sweep with everything that belongs to it."""
    if not yes:
        typer.confirm(f"delete {sweep} with all its outcomes?", abort=True)
    with _client(url) as client:
        client.delete(sweep)
    typer.echo(f"deleted {sweep}")


def presets(
    action: Annotated[str, typer.Argument(help="`show` prints one")] = "",
    name: Annotated[str, typer.Argument(help="which one")] = "",
    url: Url = HERE,
) -> None:
    """List ready sweeps, or `presets show NAME`."""
    with _client(url) as client:
        if action == "show" and name:
            _json(client.preset(name))
            return
        if action:
            raise typer.BadParameter("use `seedbed presets` or `seedbed presets show NAME`")
        for p in client.presets():
            typer.echo(f"{p['name']}: {p['title']}\n    {p['about'].strip()}")


def experiments(
    name: Annotated[str, typer.Argument(help="show one")] = "", url: Url = HERE
) -> None:
    """List experiments, or the hyper-parameters and metrics of one."""
    with _client(url) as client:
        found = client.experiments()
    known = {e["name"]: e for e in found}
    if not name:
        for e in found:
            typer.echo(f"{e['name']}: {e['description']}")
        return
    if name not in known:
        raise typer.BadParameter(f"there is no experiment {name!r}; there are {', '.join(known)}")
    for h in known[name]["hyper_parameters"]:
        typer.echo(f"{h['name']:18} {h['placement']:9} {h['default']!s:16} {h['doc']}")
    for m in known[name]["metrics"]:
        typer.echo(
            f"metric {m['name']:20} {m['better']} is better, {m['tier']}: {m['description']}"
        )


def add(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (
        submit,
        watch,
        report,
        show,
        pause,
        resume,
        cancel,
        delete,
        presets,
        experiments,
    ):
        app.command()(command)
    app.command("list")(listing)

"""Commands that look at sweeps and steer them: list, show, pause, resume, cancel, delete."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

import itertools
import json
from typing import Annotated, Any

import typer

from service.cli.change import handling
from service.cli.connection import DEFAULT, SweepId, Url, connected, console
from service.words import moment

AsJson = Annotated[bool, typer.Option("--json", help="As the service's JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_MOST_ERRORS = 5


def list_sweeps(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    *,
    label: Annotated[str | None, typer.Option("--label", help="Those with this label.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Those of this user.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT,
) -> None:
    """List sweeps, newest first."""
    with connected(url) as client:
        found = list(itertools.islice(client.sweeps(owner=owner, label=label), limit))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if not found and (label is not None or owner is not None):
        typer.echo("no such sweeps; `seedbed list` shows all", err=True)
        return
    if not found:
        typer.echo("no sweeps yet; `seedbed submit --preset NAME` starts one", err=True)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("id", "name", "experiment", "state", "ended of trials", "created"):
        table.add_column(heading, no_wrap=heading != "name")
    for sweep in found:
        cells = (sweep["id"], sweep["name"], sweep["experiment"], sweep["state"])
        ended = f"{sweep['progress']['ended']} of {sweep['trials']}"
        table.add_row(*(Text(cell) for cell in (*cells, ended, moment(sweep["created_at"]))))
    console().print(table)


def show(sweep: SweepId, *, as_json: AsJson = False, url: Url = DEFAULT) -> None:
    """Show a sweep: its state, settled rates and spec."""
    with connected(url) as client:
        found = client.sweep(sweep)
        if as_json:
            typer.echo(json.dumps(found, indent=2))
            return
        _describe(found)
        if any(arm["errored"] for arm in found["progress"]["arms"]):
            some = itertools.islice(client.trials(sweep, end_state="errored"), _MOST_ERRORS)
            for trial in some:
                typer.echo(f"errored trial {trial['id']} ({trial['arm']}): {trial['error']}")
        if found["progress"]["cohorts"]["settled"]:
            for flag in client.audit(sweep)["flags"]:
                typer.echo(f"audit: {flag['says']}")


def _describe(sweep: dict[str, Any]) -> None:
    import yaml
    from rich.text import Text

    from service.cli.picture import draw

    out = console()
    out.print(draw(sweep["name"], sweep["progress"]))
    rule = sweep["progress"]["stop"]
    if sweep.get("reason") and (rule is None or rule["stopped"] is None):  # else it was drawn
        out.print(Text(f"\n{sweep['state']} because: {sweep['reason']}", style="yellow"))
    if sweep.get("failing"):
        out.print(Text(f"Its first trials all died the same way: {sweep['failing']}"))
    if sweep.get("cure"):
        out.print(Text(f"What to do: {sweep['cure']}", style="yellow"))
    out.print(f"\ncreated {moment(sweep['created_at'])}", highlight=False)
    if sweep.get("ended_at"):
        out.print(f"ended   {moment(sweep['ended_at'])}", highlight=False)
    if sweep.get("owner"):
        typer.echo(f"of {sweep['owner']}")
    if sweep.get("priority") or sweep.get("labels") or sweep.get("note"):
        typer.echo(handling(sweep))
    typer.echo("\n" + yaml.safe_dump(sweep["spec"], sort_keys=False, allow_unicode=True).rstrip())


def pause(sweep: SweepId, url: Url = DEFAULT) -> None:
    """Pause a sweep: nothing new starts, what trains goes on to its end."""
    with connected(url) as client:
        _say(client.pause(sweep))


def resume(
    sweep: SweepId,
    accept_class: Annotated[
        str | None,
        typer.Option(
            "--accept-class",
            metavar="CLASS",
            help="Go on with changed code or machines: the report will name both classes.",
        ),
    ] = None,
    url: Url = DEFAULT,
) -> None:
    """Resume a paused sweep."""
    with connected(url) as client:
        _say(client.resume(sweep, accept_class))


def cancel(sweep: SweepId, *, yes: Yes = False, url: Url = DEFAULT) -> None:
    """Cancel a sweep; its fixed-n intervals are then gone for good.

    It cannot be taken back, unless the sweep was extended: then extend takes it up again.
    """
    if not yes:
        back = "It cannot be taken back, unless it was extended: then `seedbed extend` goes on"
        typer.confirm(f"Cancel sweep {sweep}? {back}", abort=True, err=True)
    with connected(url) as client:
        _say(client.cancel(sweep))


def delete(sweep: SweepId, *, yes: Yes = False, url: Url = DEFAULT) -> None:
    """Delete an ended sweep with all its outcomes."""
    if not yes:
        question = f"Delete sweep {sweep} with all its outcomes? It cannot be taken back"
        typer.confirm(question, abort=True, err=True)
    with connected(url) as client:
        client.delete(sweep)
        typer.echo(f"{sweep} deleted")


def _say(sweep: dict[str, Any]) -> None:
    typer.echo(f"{sweep['id']} {sweep['state']}")

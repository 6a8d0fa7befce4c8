"""Commands that say what there is to run: presets and experiments."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from service.cli.connection import DEFAULT, Url, connected, console

presets = typer.Typer(help="List the ready sweeps, or show one.", invoke_without_command=True)
experiments = typer.Typer(
    help="List what can be trained, or show one.", invoke_without_command=True
)
Name = Annotated[str, typer.Argument(metavar="NAME")]


@presets.callback()
def list_presets(context: typer.Context, url: Url = DEFAULT) -> None:
    """List the ready sweeps."""
    if context.invoked_subcommand is not None:
        return
    with connected(url) as client:
        _table(("name", "title"), [(p["name"], p["title"]) for p in client.presets()])


@presets.command("show")
def show_preset(name: Name, url: Url = DEFAULT) -> None:
    """Print a preset as YAML that `seedbed submit` takes."""
    import yaml

    with connected(url) as client:
        found = client.preset(name)
    typer.echo("\n".join(f"# {line}".rstrip() for line in _commented(found)))
    typer.echo(yaml.safe_dump(found["spec"], sort_keys=False, allow_unicode=True).rstrip())


def _commented(found: dict[str, Any]) -> Iterator[str]:
    """What a preset is, what of it is a paper's and what is not, and the paper's own numbers."""
    import textwrap

    yield found["title"]
    yield from textwrap.wrap(found["about"], 98)
    for key, heading in (("paper", "The paper's: "), ("ours", "Chosen here: ")):
        if found[key]:
            yield ""
            yield from textwrap.wrap(heading + found[key], 98)
    if found["numbers"]:
        yield from ("", "The paper's numbers:", *found["numbers"].rstrip().splitlines())


@experiments.callback()
def list_experiments(context: typer.Context, url: Url = DEFAULT) -> None:
    """List what can be trained."""
    if context.invoked_subcommand is not None:
        return
    with connected(url) as client:
        rows = [(e["name"], e["description"]) for e in client.experiments()]
    _table(("name", "description"), rows)


@experiments.command("show")
def show_experiment(name: Name, url: Url = DEFAULT) -> None:
    """Show an experiment's hyper-parameters and metrics."""
    with connected(url) as client:
        found = client.experiment(name)
    typer.echo(f"{found['name']}: {found['description']}\nsegment: {found['segment']} steps\n")
    _table(
        ("hyper-parameter", "placement", "default", "rule", "meaning"),
        [
            (p["name"], p["placement"], p["default"], _rule(p["rule"]), p["doc"])
            for p in found["hyper_parameters"]
        ],
    )
    typer.echo("")
    _table(
        ("metric", "better", "tier", "meaning"),
        [
            (m["name"], m.get("better"), m.get("tier"), m.get("description"))
            for m in found["metrics"]
        ],
    )


#: JSON Schema's words, shortened
_WORDS = {
    "minimum": ">=",
    "maximum": "<=",
    "exclusiveMinimum": ">",
    "exclusiveMaximum": "<",
    "type": "",
    "enum": "one of",
    "const": "only",
}


def _rule(schema: dict[str, Any]) -> str:
    parts = []
    for word, value in schema.items():
        said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        parts.append(f"{_WORDS.get(word, word)} {said}".strip())
    return "; ".join(parts)


def _table(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for place, heading in enumerate(headings):
        table.add_column(heading, no_wrap=place == 0)
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console().print(table)

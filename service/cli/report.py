"""`seedbed report` and `seedbed export`: the product, on the terminal or in a file."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Never

import typer

from service.cli.connection import (
    DEFAULT,
    REFUSED,
    USAGE,
    SweepId,
    Url,
    connected,
    console,
    fail,
)


class Format(StrEnum):
    """What a report is written as."""

    json = "json"
    markdown = "markdown"
    csv = "csv"
    latex = "latex"
    html = "html"
    svg = "svg"
    png = "png"
    parquet = "parquet"


#: what a terminal cannot show
_BINARY = (Format.png, Format.parquet)


def report(
    sweep: SweepId,
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option("--format", "-f", help="What to write it as.")
    ] = Format.markdown,
    figure: Annotated[
        str | None,
        typer.Option(
            "--figure",
            help="Of svg and png, which: rates, difference, ecdf, survival, courses, grid, cells.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file instead of the terminal.")
    ] = None,
    url: Url = DEFAULT,
) -> None:
    """Print a sweep's report."""
    if format in _BINARY and output is None and sys.stdout.isatty():
        fail(
            f"{format.value} is not for a terminal\nNothing was asked for.\n"
            f"What to do: name a file, as in --output report.{format.value}",
            USAGE,
        )
    with connected(url) as client:
        found = client.report(sweep, format.value, figure)
    text = json.dumps(found, indent=2) + "\n" if format is Format.json else found
    content = text if isinstance(text, bytes) else text.encode()
    if output is not None:
        try:
            output.write_bytes(content)
        except OSError as error:
            _unwritten(output, error)
        typer.echo(f"written to {output}", err=True)
    elif format is Format.markdown and sys.stdout.isatty():
        from rich.markdown import Markdown

        console().print(Markdown(text))
    else:
        typer.echo(content, nl=False)


def export(
    sweep: SweepId,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; seedbed-ID.zip unless given.")
    ] = None,
    url: Url = DEFAULT,
) -> None:
    """Write a sweep's bundle: spec, outcomes, findings, report, figures, a notebook to check."""
    target = output or Path(f"seedbed-{Path(sweep).name}.zip")
    unfinished = target.with_name(target.name + ".part")
    try:
        with connected(url) as client, unfinished.open("wb") as file:
            digest = client.export(sweep, file)
        unfinished.replace(target)
    except OSError as error:
        _unwritten(target, error)
    finally:
        unfinished.unlink(missing_ok=True)
    typer.echo(f"written to {target}", err=True)
    typer.echo(digest)


def _unwritten(place: Path, error: OSError) -> Never:
    fail(
        f"{place} cannot be written: {error.strerror}\nNothing was lost; the report is "
        "made anew each time.\nWhat to do: name another file with --output",
        REFUSED,
    )

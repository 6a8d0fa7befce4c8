"""`seedbed report`: the product, on the terminal or in a file."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import DEFAULT, REFUSED, SweepId, Url, connected, console, fail


class Format(StrEnum):
    """What a report is written as."""

    json = "json"
    markdown = "markdown"
    csv = "csv"


def report(
    sweep: SweepId,
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option("--format", "-f", help="What to write it as.")
    ] = Format.markdown,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file instead of the terminal.")
    ] = None,
    url: Url = DEFAULT,
) -> None:
    """Print a sweep's report."""
    with connected(url) as client:
        found = client.report(sweep, format.value)
    text = json.dumps(found, indent=2) + "\n" if format is Format.json else found
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            fail(
                f"{output} cannot be written: {error.strerror}\nNothing was lost; the report is "
                "made anew each time.\nWhat to do: name another file with --output",
                REFUSED,
            )
        typer.echo(f"written to {output}", err=True)
    elif format is Format.markdown and sys.stdout.isatty():
        from rich.markdown import Markdown

        console().print(Markdown(text))
    else:
        typer.echo(text, nl=False)

"""`seedbed report` and `seedbed export`: the product, on the terminal or in a file."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

import hashlib
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Never

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

if TYPE_CHECKING:
    from service.client import Client


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
    weights: Annotated[
        Path | None, typer.Option("--weights", help="A folder for the weights that were kept.")
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
    if weights is not None:
        with connected(url) as client:
            _keep(client, sweep, weights)
    typer.echo(digest)


def _keep(client: "Client", sweep: str, folder: Path) -> None:
    """A file a settled trial whose weights were kept; one that is there is not fetched again."""
    count = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for trial in client.trials(sweep):
            if trial["weights"] is None:
                continue
            file = folder / f"trial-{trial['id']}.safetensors"
            count += 1
            if file.exists() and _sha256(file) == trial["weights"]["sha256"]:
                continue
            unfinished = file.with_name(file.name + ".part")
            try:
                with unfinished.open("wb") as opened:
                    client.weights(trial["id"], opened)
                unfinished.replace(file)
            finally:
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        _unwritten(folder, error)
    typer.echo(f"weights of {count} trials are in {folder}", err=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _unwritten(place: Path, error: OSError) -> Never:
    fail(
        f"{place} cannot be written: {error.strerror}\nNothing was lost; the report is "
        "made anew each time.\nWhat to do: name another file with --output",
        REFUSED,
    )

"""How commands reach the service and how they say no: three parts on stderr, never a traceback."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Never

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from service.client import Client

#: the service said no, or cannot be reached
REFUSED = 1
#: the command was used wrongly
USAGE = 2
#: Ctrl-C
INTERRUPTED = 130

Url = Annotated[str, typer.Option("--url", envvar="SEEDBED_URL", help="Where the service listens.")]
DEFAULT = "http://127.0.0.1:8321"
SpecFile = Annotated[
    str | None, typer.Argument(metavar="[FILE]", help="A spec in YAML or JSON; - reads stdin.")
]
PresetName = Annotated[
    str | None, typer.Option("--preset", help="A ready sweep, by name, instead of a file.")
]
SweepId = Annotated[str, typer.Argument(metavar="ID", help="The sweep's id.")]

#: columns of what is piped or written to a file, where no terminal sets a width
_PIPED_WIDTH = 160


@contextlib.contextmanager
def connected(url: str, key: str | None = None) -> Iterator["Client"]:
    """A client; what the service refuses ends the command with its words and status 1.

    Args:
        url: where the service listens.
        key: the API key to send instead of SEEDBED_KEY's.
    """
    from service import client as public

    try:
        opened = public.Client(url, key=key)
    except ValueError as error:
        fail(str(error), USAGE)
    refused = (public.ServiceError, public.ServiceUnreachableError)
    kinds = (*refused, public.SpecFileError, public.DamagedFileError)
    with spoken(*kinds), opened as client:
        yield client


@contextlib.contextmanager
def spoken(*kinds: type[Exception]) -> Iterator[None]:
    """Turns errors of these kinds into a message and status 1."""
    try:
        yield
    except kinds as error:
        fail(str(error), REFUSED)


def fail(message: str, status: int) -> Never:
    """Ends the command; a message that quotes a URL or a key shows no secret."""
    from service.observe.redaction import Redaction

    typer.echo(f"seedbed: {Redaction().text(message)}", err=True)
    raise typer.Exit(status)


def console() -> "Console":
    """Where tables go; piped output is not cut to 80 columns."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)

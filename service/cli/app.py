"""The `seedbed` command: its groups, and errors that leave without a traceback."""

import sys

import typer

from service.cli import sweeps
from service.cli.server import server

app = typer.Typer(
    name="seedbed",
    help="How often does training succeed, and does this change help?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
sweeps.add(app)
server(app)


def main() -> None:
    """Runs the command; 0 ok, 1 refused, 2 usage."""
    try:
        app()
    except Exception as error:
        if not _expected(error):
            raise
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


def _expected(error: Exception) -> bool:
    """Whether an error is one that tells its user what to do; others are ours, and show all."""
    return type(error).__module__.split(".")[0] in ("service", "models", "workers")


if __name__ == "__main__":
    main()

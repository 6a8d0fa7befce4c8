"""`seedbed bench`: every row of the bench on this machine, run from the checkout that has it."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import USAGE, fail

MODULE = "tests.benchmarks"
#: options are the bench's own, --help included
PASSED_ON = {"ignore_unknown_options": True, "help_option_names": []}

Words = Annotated[
    list[str] | None, typer.Argument(metavar="[OPTIONS]", help="See `seedbed bench --help`.")
]


def bench(words: Words = None) -> None:
    """Measure this machine: the engine, its baselines, whole sweeps; writes docs/bench.md."""
    import os
    import subprocess
    import sys

    root = checkout(Path(__file__).resolve().parents[1])
    if root is None:
        fail(
            "the bench is not part of an installed Seedbed: it lives in tests/benchmarks of a "
            "checkout, with its baselines and laws; clone the repository, run `make bench` there",
            USAGE,
        )
    command = [sys.executable, "-m", MODULE, *(words or [])]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    ended = subprocess.run(command, env=environment, check=False)  # noqa: S603 - our own command
    raise typer.Exit(ended.returncode)


def checkout(package: Path) -> Path | None:
    """The root of the checkout that holds the service package, or None."""
    root = package.parent
    return root if root.joinpath(*MODULE.split("."), "__main__.py").is_file() else None

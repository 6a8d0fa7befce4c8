"""Commands that run or tend the service itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from service.configuration import Configuration


class ConfigurationError(Exception):
    """An option of the service breaks a rule."""


def configure(**given: Any) -> "Configuration":
    """The configuration from the environment, with options that were given on the command line.

    Raises:
        ConfigurationError: naming the option, the rule and the cure.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - keeps --help fast

    from service.configuration import Configuration  # noqa: PLC0415

    try:
        return Configuration(**{k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        lines = [
            ": ".join(
                p
                for p in (".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, "))
                if p
            )
            for e in error.errors()
        ]
        raise ConfigurationError("the configuration breaks a rule: " + "; ".join(lines)) from error


def serve(
    host: Annotated[str | None, typer.Option(help="address to bind (loopback only)")] = None,
    port: Annotated[int | None, typer.Option(help="port to bind; 0 takes a free one")] = None,
    state: Annotated[Path | None, typer.Option(help="the state folder")] = None,
    workers: Annotated[int | None, typer.Option(help="Ray workers")] = None,
) -> None:
    """Run the whole service on this machine until Ctrl-C."""
    configuration = configure(host=host, port=port, state_folder=state, workers=workers)
    from service.embedded import serve as run  # noqa: PLC0415 - imports the whole service

    run(configuration)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="leave the dashboard up")] = False,
) -> None:
    """Run a real sweep on this machine, from an empty folder to a printed report."""
    from service.cli.demo import run  # noqa: PLC0415 - keeps --help fast

    run(keep=keep)


def backup(
    target: Annotated[Path, typer.Argument(help="a file that does not exist yet")],
) -> None:
    """Copy the SQLite store as of now, while it is in use."""
    from service.store.backup import backup as copy  # noqa: PLC0415 - keeps --help fast
    from service.store.engine import open_engine  # noqa: PLC0415

    size = copy(open_engine(configure().database_url), target)
    typer.echo(f"wrote {target}, {size:,} bytes")


database = typer.Typer(help="The store's schema.", no_args_is_help=True)


@database.command("upgrade")
def upgrade() -> None:
    """Bring the store's schema to the newest version (serve does so itself)."""
    from service.embedded import prepare_folder  # noqa: PLC0415 - keeps --help fast
    from service.store.engine import open_engine  # noqa: PLC0415
    from service.store.engine import upgrade as run  # noqa: PLC0415

    configuration = configure()
    prepare_folder(configuration.state_folder)
    run(open_engine(configuration.database_url))
    typer.echo("the store is at the newest version")


def server(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (serve, demo, backup):
        app.command()(command)
    app.add_typer(database, name="db")

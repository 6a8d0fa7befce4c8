"""Commands that run beside the service's own files, not through REST: serve, backup, db, demo."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.connection import INTERRUPTED, REFUSED, USAGE, connected, fail, spoken

if TYPE_CHECKING:
    from service.configuration import Configuration

db = typer.Typer(help="Care for the store.", no_args_is_help=True)


def configured(**given: Any) -> "Configuration":
    """The configuration of the environment, with what was given as options put first."""
    from pydantic import ValidationError

    from service.configuration import Configuration

    try:
        return Configuration(**{key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        lines = []
        for item in error.errors(include_url=False):
            place = "".join(f"{part}: " for part in item["loc"])
            lines.append(place + item["msg"].removeprefix("Value error, "))
        fail(
            "\n".join(lines) + "\nNothing was started.\nWhat to do: mend the option, or the "
            "SEEDBED_* variable of that name",
            USAGE,
        )


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to bind.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = None,
    state_folder: Annotated[
        Path | None, typer.Option("--state-folder", help="Where SQLite lies.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Ray workers.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Where trials train: cpu or cuda.")
    ] = None,
) -> None:
    """Run the service on this machine until Ctrl-C; nothing that was recorded is lost."""
    configuration = configured(
        host=host, port=port, state_folder=state_folder, workers=workers, device=device
    )
    from service.dispatch.loop import LeaseLostError
    from service.folder import OpenFolderError
    from service.gpus import TooFewGpusError
    from service.processes.binding import PortTakenError
    from service.processes.embedded import OneMachineError
    from service.processes.embedded import serve as run
    from service.store.errors import StoreError
    from workers.storage import StorageError

    kinds = (StoreError, StorageError, OpenFolderError, PortTakenError, TooFewGpusError)
    with spoken(*kinds, LeaseLostError, OneMachineError):
        run(configuration)


def api(
    host: Annotated[str | None, typer.Option("--host", help="Address to bind.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = None,
) -> None:
    """Run the API alone, one of any number on a PostgreSQL store, until Ctrl-C."""
    configuration = configured(host=host, port=port)
    from service.processes.api import serve_api
    from service.processes.binding import PortTakenError
    from service.store.errors import StoreError

    with spoken(StoreError, PortTakenError):
        serve_api(configuration)


def dispatcher(
    *,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Ray workers.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Where trials train: cpu or cuda.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what the one with this state folder does.")
    ] = False,
) -> None:
    """Run the dispatcher alone, active or a standby on a PostgreSQL store, until Ctrl-C."""
    configuration = configured(workers=workers, device=device)
    from service.processes.pulse import NoPulseError
    from service.processes.pulse import check as look

    if check:
        with spoken(NoPulseError):
            typer.echo(look(configuration.state_folder))
        return
    from service.gpus import TooFewGpusError
    from service.processes.dispatcher import dispatch
    from service.store.errors import StoreError
    from workers.cluster import ClusterAwayError
    from workers.pool import ClusterLostError
    from workers.storage import StorageError

    kinds = (StoreError, StorageError, TooFewGpusError, ClusterAwayError, ClusterLostError)
    with spoken(*kinds):
        dispatch(configuration)


def backup(
    target: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
) -> None:
    """Copy the SQLite store to a file, even while the service runs; storage is not copied."""
    configuration = configured()
    from service.store.backup import backup as copy
    from service.store.engine import open_engine
    from service.store.errors import StoreError

    engine = open_engine(configuration.database_url)
    try:
        with spoken(StoreError):
            size = copy(engine, target)
    except OSError as error:
        fail(
            f"{target} cannot be written: {error.strerror}\nThe store is as it was.\n"
            "What to do: name a file in a folder that exists and may be written to",
            REFUSED,
        )
    finally:
        engine.dispose()
    typer.echo(f"{target}: {size:,} bytes")


@db.command("upgrade")
def upgrade() -> None:
    """Bring the store's schema to the newest version; `serve` does the same at its start."""
    configuration = configured()
    from service.folder import OpenFolderError, prepare
    from service.processes.store import ownership
    from service.store.engine import open_engine
    from service.store.engine import upgrade as migrate
    from service.store.errors import StoreError

    with spoken(StoreError, OpenFolderError):
        prepare(configuration)
        with ownership(configuration.database_url):
            engine = open_engine(configuration.database_url)
            try:
                migrate(engine)
            finally:
                engine.dispose()
    typer.echo("the store's schema is the newest")


def demo(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the dashboard running until Ctrl-C.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="So many seeds an arm instead of 100.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Run it on the service there instead of one of its own."),
    ] = None,
) -> None:
    """Run a real sweep on this machine, from nothing to its report."""
    from service.cli.demo import DemoError, run, visit
    from service.cli.own_key import own_key
    from service.client import ServiceError, ServiceUnreachableError
    from service.local import StartError

    if keep and url is not None:
        fail("--keep leaves a demo's own service up; with --url there is none; leave it out", USAGE)
    try:
        with spoken(DemoError, StartError, ServiceError, ServiceUnreachableError):
            if url is None:
                run(keep=keep, seeds=seeds)
            else:
                with connected(url, own_key(url)) as client:
                    visit(client, seeds=seeds)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None

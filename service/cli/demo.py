"""`seedbed demo`: a whole sweep from its submission to a printed report, here or on a service."""

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from service import local
from service.cli.live import watch
from service.client import Client

PRESET = "deep-mlp-demo"


#: a service that is up has workers by then
READY_S = 120.0


class DemoError(Exception):
    """The sweep did not finish."""


def run(*, keep: bool, seeds: int | None = None, console: Console | None = None) -> None:
    """Starts a service of its own, submits the demo sweep over HTTP, and prints its report.

    With `keep` the service stays up after the report until Ctrl-C, so that the dashboard can be
    looked at. Whatever ends the demo ends its service.

    Args:
        seeds: seeds a cell instead of the preset's own.

    Raises:
        local.StartError: the service did not come up in time.
        DemoError: the sweep ended otherwise.
        KeyboardInterrupt: Ctrl-C before the report was printed.
        SystemExit: SIGTERM or SIGHUP came, with status 128 + its number.
    """
    console = console or Console()
    with tempfile.TemporaryDirectory(prefix="seedbed-demo-") as folder, local.ending_on_signals():
        url, process = local.start(Path(folder))
        try:
            with Client(url, key="") as client:
                console.print(f"Starting Seedbed on {url} (SQLite, local Ray) ...")
                local.await_ready(client, process, Path(folder) / local.LOG)
                page = report(client, console, url, seeds)
            if keep:
                console.print(f"Dashboard: {page}  (Ctrl-C stops the service)")
                with contextlib.suppress(KeyboardInterrupt):
                    process.wait()
            else:
                console.print(
                    f"The dashboard was at {page}; `make demo ARGS=--keep` leaves it running."
                )
        finally:
            console.print("stopping the demo's service")
            local.stop(process)


def visit(client: Client, *, seeds: int | None = None, console: Console | None = None) -> None:
    """Submits the demo sweep to a service that is up, and prints its report.

    Raises:
        DemoError: the service is not ready in time, or the sweep ended otherwise.
    """
    console = console or Console()
    deadline = time.monotonic() + READY_S
    while not client.ready():
        if time.monotonic() > deadline:
            raise DemoError(
                f"{client.url} answers, but is not ready after {READY_S:.0f} s; a sweep would wait "
                "for what it lacks: its store, a dispatcher or workers; see what its /readyz says, "
                "and start it"
            )
        time.sleep(0.5)
    console.print(f"Dashboard: {report(client, console, client.url, seeds)}")


def report(client: Client, console: Console, url: str, seeds: int | None) -> str:
    """Submits the sweep, watches it to its end and prints its report; its page on the dashboard.

    Raises:
        DemoError: it was paused or cancelled.
    """
    sweep = submit(client, console, url, seeds)
    ended = watch(client, sweep["id"], console)
    if ended["state"] != "finished":
        raise DemoError(f"the sweep ended as {ended['state']}: {ended.get('reason')}")
    console.print(Markdown(client.report(sweep["id"], "markdown")))
    return f"{url}/sweeps/{sweep['id']}"


def submit(client: Client, console: Console, url: str, seeds: int | None) -> dict[str, Any]:
    """Submits the demo's preset and says what it is."""
    preset = client.preset(PRESET)
    spec = preset["spec"]
    if seeds is not None:
        spec |= {"seeds": seeds, "cohort": min(seeds, spec["cohort"])}
    sweep = client.submit(spec)
    console.print(f"[bold]{preset['title']}[/bold]\n{preset['about'].strip()}")
    console.print(
        f"POST {url}/api/v1/sweeps -> {sweep['id']}: {sweep['trials']} trials; "
        f"dashboard: {url}/sweeps/{sweep['id']}"
    )
    return sweep

"""`seedbed demo`: a whole sweep on this machine, from an empty folder to a printed report."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Never

from rich.console import Console
from rich.markdown import Markdown

from service.cli.live import watch
from service.client import Client, ServiceUnreachableError

PRESET = "deep-mlp-demo"
START_S = 120.0
#: a service that was asked to stop and has not by then is made to
STOP_S = 60.0


class DemoError(Exception):
    """The embedded service did not come up, or the sweep did not finish."""


def run(*, keep: bool, seeds: int | None = None, console: Console | None = None) -> None:
    """Starts a service of its own, submits the demo sweep over HTTP, and prints its report.

    With `keep` the service stays up after the report until Ctrl-C, so that the dashboard can be
    looked at. Whatever ends the demo ends its service.

    Args:
        seeds: seeds a cell instead of the preset's own.

    Raises:
        DemoError: the service did not come up in time, or the sweep ended otherwise.
        KeyboardInterrupt: Ctrl-C before the report was printed.
        SystemExit: SIGTERM or SIGHUP came, with status 128 + its number.
    """
    console = console or Console()
    with tempfile.TemporaryDirectory(prefix="seedbed-demo-") as folder, ending_on_signals():
        url, process = start(Path(folder))
        try:
            with Client(url) as client:
                console.print(f"Starting Seedbed on {url} (SQLite, local Ray) ...")
                await_ready(client, process, Path(folder) / "serve.log")
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
            stop(process)


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


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind as Ctrl-C does, so that no service is left behind."""

    def end(number: int, _frame: FrameType | None) -> Never:
        sys.exit(128 + number)

    before = {n: signal.signal(n, end) for n in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start(folder: Path) -> tuple[str, "subprocess.Popen[bytes]"]:
    """The service as a process of its own, its log in the folder."""
    port = free_port()
    environment = os.environ | {"SEEDBED_STATE_FOLDER": str(folder / "state")}
    environment.pop("SEEDBED_DATABASE_URL", None)
    with (folder / "serve.log").open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "service.cli.app", "serve", "--port", str(port)],
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the demo, which then stops the service
        )
    return f"http://127.0.0.1:{port}", process


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_ready(client: Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Waits until workers are up.

    Raises:
        DemoError: the process ended or took too long; its last words are in the message.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.ready():
                return
        except ServiceUnreachableError:
            pass
        time.sleep(0.2)
    tail = log.read_text(errors="replace")[-2000:]
    raise DemoError(f"the service was not ready after {START_S:.0f} s; its log ends:\n{tail}")


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


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Asks the service to stop, and makes it and all that it started if it does not."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=STOP_S)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise  # a second Ctrl-C

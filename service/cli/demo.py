"""`seedbed demo`: a whole sweep on this machine, from an empty folder to a printed report."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from service.cli.live import watch
from service.client import Client, ServiceUnreachableError

PRESET = "deep-mlp-demo"
START_S = 120.0


class DemoError(Exception):
    """The embedded service did not come up, or the sweep did not finish."""


def run(*, keep: bool, console: Console | None = None) -> None:
    """Starts a service of its own, submits the demo sweep over HTTP, and prints its report.

    With `keep` the service stays up until Ctrl-C, so that the dashboard can be looked at.

    Raises:
        DemoError: the service did not come up in time, or the sweep ended otherwise.
    """
    console = console or Console()
    with tempfile.TemporaryDirectory(prefix="seedbed-demo-") as folder:
        url, process = start(Path(folder))
        try:
            with Client(url) as client:
                console.print(f"Starting Seedbed on {url} (SQLite, local Ray) ...")
                await_ready(client, process, Path(folder) / "serve.log")
                sweep = submit(client, console, url)
                ended = watch(client, sweep["id"], console)
                if ended["state"] != "finished":
                    raise DemoError(f"the sweep ended as {ended['state']}: {ended.get('reason')}")
                console.print(Markdown(client.report(sweep["id"], "markdown")))
                page = f"{url}/sweeps/{sweep['id']}"
                if keep:
                    console.print(f"Dashboard: {page}  (Ctrl-C stops the service)")
                    process.wait()
                else:
                    console.print(
                        f"The dashboard was at {page}; `make demo ARGS=--keep` leaves it running."
                    )
        except KeyboardInterrupt:
            console.print("stopping the demo's service")
        finally:
            stop(process)


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


def submit(client: Client, console: Console, url: str) -> dict[str, Any]:
    """Submits the demo's preset and says what it is."""
    preset = client.preset(PRESET)
    sweep = client.submit(preset["spec"])
    console.print(f"[bold]{preset['title']}[/bold]\n{preset['about'].strip()}")
    console.print(
        f"POST {url}/api/v1/sweeps -> {sweep['id']}: {sweep['trials']} trials; "
        f"dashboard: {url}/sweeps/{sweep['id']}"
    )
    return sweep


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Asks the service to stop, and makes it if it does not."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

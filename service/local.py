"""A service of one's own on this machine, for as long as a command needs it: demo, study, bench."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Never

from service.client import Client, ServiceUnreachableError

START_S = 120.0
#: a service that was asked to stop and has not by then is made to
STOP_S = 60.0
LOG = "serve.log"


class StartError(Exception):
    """The service did not come up."""


def start(folder: Path) -> tuple[str, "subprocess.Popen[bytes]"]:
    """The service as a process of its own, its log in the folder."""
    port = free_port()
    environment = os.environ | {"SEEDBED_STATE_FOLDER": str(folder / "state")}
    for name in ("SEEDBED_DATABASE_URL", "SEEDBED_AUTH", "SEEDBED_HOST"):
        environment.pop(name, None)  # it is this command's alone
    with (folder / LOG).open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "service.cli.app", "serve", "--port", str(port)],
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the command, which then stops the service
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
        StartError: the process ended or took too long; its last words are in the message.
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
    raise StartError(f"the service was not ready after {START_S:.0f} s; its log ends:\n{tail}")


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

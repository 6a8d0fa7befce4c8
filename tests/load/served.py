"""A real Seedbed as processes of its own, all in one or split, with sweeps to ask about."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from argon2 import PasswordHasher

from service.access.principal import Scope
from service.client import Client, ServiceUnreachableError
from service.configuration import Configuration
from service.local import free_port
from service.store.engine import open_engine, session_factory
from service.store.keys import create
from tests.benchmarks.databases import postgres
from tests.load.clients import Known
from tests.service.samples import spec

READY_S = 180.0
MODES = ("serve", "split", "keys")
#: requests a minute of an address, as it is unless somebody says otherwise; of a key in mode keys
LIMIT, KEY_LIMIT = Configuration.model_fields["rate_limit"].default, 120


@contextlib.contextmanager
def served(mode: str, folder: Path, clients: int) -> Iterator[tuple[str, list[str]]]:
    """A service that has a worker: its URL, and as many keys as it needs.

    Args:
        mode: serve, all in one on SQLite; split, `seedbed api` and `seedbed dispatcher` on
            PostgreSQL; keys, as split, and every client has a key and a low limit.
        clients: that will come.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"SEEDBED_STATE_FOLDER": str(folder / "state"), "SEEDBED_WORKERS": "1"}
    keys: list[str] = []
    with contextlib.ExitStack() as ending:
        if mode == "serve":
            ending.enter_context(_process(["serve", "--port", str(port)], environment, folder))
        else:
            environment["SEEDBED_DATABASE_URL"] = ending.enter_context(postgres())
            _command(["db", "upgrade"], environment)
            if mode == "keys":
                environment |= {"SEEDBED_AUTH": "keys", "SEEDBED_RATE_LIMIT": str(KEY_LIMIT)}
                keys = _keys(environment["SEEDBED_DATABASE_URL"], clients)
            for command in (["dispatcher"], ["api", "--port", str(port)]):
                ending.enter_context(_process(command, environment, folder))
        _await(url, folder)
        yield url, keys


def known(url: str, keys: list[str]) -> Known:
    """Sweeps of which one is finished and one goes on for as long as anyone asks."""
    with Client(url, key=keys[0] if keys else "") as client:
        done = client.submit(spec(seeds=4, cohort=2))["id"]
        ends = time.monotonic() + READY_S
        while client.progress(done)["state"] != "finished":
            if time.monotonic() > ends:
                raise TimeoutError(f"a sweep of 16 trials was not trained in {READY_S:.0f} s")
            time.sleep(0.5)
        long = client.submit(spec(seeds=100_000, cohort=50, budget={"steps": 2000}))["id"]
    return Known([done, long], keys)


def _keys(database_url: str, number: int) -> list[str]:
    engine = open_engine(database_url)
    try:
        with session_factory(engine).begin() as session:
            return [
                create(
                    session,
                    name=f"client {client}",
                    owner="load",
                    scope=Scope.SUBMIT,
                    now=datetime.now(UTC),
                    hasher=PasswordHasher(),
                )[1]
                for client in range(number)
            ]
    finally:
        engine.dispose()


@contextlib.contextmanager
def _process(arguments: list[str], environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    with (
        (folder / f"{arguments[0]}.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "service.cli.app", *arguments],
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _command(arguments: list[str], environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "service.cli.app", *arguments]
    subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)


def _await(url: str, folder: Path) -> None:
    ends = time.monotonic() + READY_S
    with Client(url) as client:
        while time.monotonic() < ends:
            with contextlib.suppress(ServiceUnreachableError):
                if client.ready():
                    return
            time.sleep(0.2)
    logs = "\n".join(log.read_text(errors="replace")[-1500:] for log in folder.glob("*.log"))
    raise TimeoutError(f"the service was not ready in {READY_S:.0f} s:\n{logs}")

"""Kept weights and curves leave the service once their cohort is settled, and say why not."""

import asyncio
import hashlib
import json
import threading
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from service.api import kept as kept_route
from service.api.crowd import LONG_ROOMS, ROOMS
from service.api.disk import RESERVE, kept_bytes
from service.cli.app import app
from service.client import Client, DamagedFileError, ServiceError
from service.store import claims, classes, completion, sweeps
from tests.service.api.conftest import BASE, Served
from tests.service.samples import NUMERICS, moment, outcome, plan, spec
from tests.service.serving import Served as Running
from tests.service.serving import serving
from workers.messages import Assignment, Keep, Outcome, Rule, Weights
from workers.storage import Storage, StorageError, weights_name

pytestmark = pytest.mark.anyio


def kept(task: Assignment, storage: Storage) -> Outcome:
    """An outcome whose weights were kept."""
    assert task.files is not None
    data = f"weights of {task.trial}".encode() * 1000
    name = weights_name(task.files.sweep, task.trial, task.attempt)
    storage.write(name, data)
    print_of = hashlib.sha256(data).hexdigest()
    return outcome(task, weights=Weights(name, len(data), print_of))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """That of the application's configuration."""
    found = Storage(str(tmp_path / "storage"))
    found.prepare()
    return found


def train(
    served: Served, storage: Storage, count: int, **changes: Any
) -> tuple[str, list[Assignment]]:
    """A sweep of which so many trials ended, those of even seeds with weights."""
    with served.writing.begin() as session:
        sweep = sweeps.create(session, plan(**changes), now=moment())[0]
        classes.pin(session, sweep, NUMERICS)
        tasks = claims.claim(session, sweep, 0, count, worker="w", now=moment())
    outcomes = [kept(t, storage) if t.seed % 2 == 0 else outcome(t) for t in tasks]
    with served.writing.begin() as session:
        completion.complete(
            session,
            outcomes=outcomes,
            failures=(),
            dropped=(),
            numerics_id=classes.class_id(NUMERICS),
            max_attempts=2,
            now=moment(),
        )
    return sweep, tasks


async def test_weights_and_curves_come_as_they_were_kept(
    served: Served, api: httpx.AsyncClient, storage: Storage
) -> None:
    _, tasks = train(served, storage, 8, keep_weights="all")
    task = next(t for t in tasks if t.seed == 0)
    reply = await api.get(f"/api/v1/trials/{task.trial}/weights")
    assert reply.status_code == 200
    assert reply.content == f"weights of {task.trial}".encode() * 1000
    digest = hashlib.sha256(reply.content).hexdigest()
    assert reply.headers["etag"] == f'"{digest}"'
    shown = (await api.get(f"/api/v1/trials/{task.trial}")).json()["weights"]
    assert shown == {"bytes": len(reply.content), "sha256": digest}
    curve = (await api.get(f"/api/v1/trials/{task.trial}/curve")).json()
    assert curve == {"trial": task.trial} | json.loads(zlib.decompress(outcome(task).curve))


async def test_nothing_of_an_unsettled_outcome_is_told(
    served: Served, api: httpx.AsyncClient, storage: Storage
) -> None:
    """Whether its weights were kept would say that it succeeded."""
    _, tasks = train(served, storage, 7, keep_weights="successes")
    for task in tasks:
        for what in ("weights", "curve"):
            reply = await api.get(f"/api/v1/trials/{task.trial}/{what}")
            assert reply.status_code == 404
            assert (
                reply.json()["detail"].partition("shows")[2].startswith(" nothing of its outcome")
            )
        assert (await api.get(f"/api/v1/trials/{task.trial}")).json()["weights"] is None


async def test_what_was_not_kept_is_not_there_any_more_or_cannot_be_reached_is_said(
    served: Served, api: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tasks = train(served, storage, 8, keep_weights="successes")
    without = next(t for t in tasks if t.seed == 1)
    reply = await api.get(f"/api/v1/trials/{without.trial}/weights")
    assert (reply.status_code, "met no criterion" in reply.json()["detail"]) == (404, True)
    one = next(t for t in tasks if t.seed == 0)
    path = f"/api/v1/trials/{one.trial}/weights"

    def away(*_: Any) -> int:
        raise StorageError("s3 storage is away")

    with monkeypatch.context() as gone:
        gone.setattr(Storage, "size", away)
        reply = await api.get(path)
    assert (reply.status_code, "s3 storage is away" in reply.json()["detail"]) == (503, True)
    assert one.files is not None
    name = weights_name(one.files.sweep, one.trial, one.attempt)
    storage.write(name, b"short")
    assert "5 bytes long" in (await api.get(path)).json()["detail"]
    storage.remove([name])
    reply = await api.get(path)
    assert (reply.status_code, "not in storage any more" in reply.json()["detail"]) == (404, True)
    for what in ("weights", "curve"):
        assert (await api.get(f"/api/v1/trials/9999/{what}")).status_code == 404


async def test_storage_that_hangs_stops_nothing_else(
    served: Served, api: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask for weights: others are answered, and no connection of the store waits."""
    _, tasks = train(served, storage, 8, keep_weights="all")
    task = next(t for t in tasks if t.seed == 0)
    path, over = f"/api/v1/trials/{task.trial}/weights", threading.Event()
    hanging, size = threading.Semaphore(0), Storage.size

    def hang(self: Storage, name: str) -> int:
        hanging.release()
        over.wait(60)
        return size(self, name)

    monkeypatch.setattr(kept_route, "ANSWER_S", 60.0)
    monkeypatch.setattr(Storage, "size", hang)
    pool = served.writing.kw["bind"].pool
    try:
        asked = [asyncio.create_task(api.get(path)) for _ in range(ROOMS + 1)]
        async with asyncio.timeout(30):
            for _ in range(LONG_ROOMS):
                await asyncio.to_thread(hanging.acquire, timeout=30)
            assert pool.checkedout() == 0
            assert (await api.get("/api/v1/sweeps")).status_code == 200
            assert not any(one.done() for one in asked)
            assert not hanging.acquire(blocking=False), "the long rooms hold them all"
    finally:
        over.set()
    assert {(await one).status_code for one in asked} == {200}


async def test_storage_that_does_not_answer_in_time_is_503(
    served: Served, api: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says for how long it was waited; once storage answers, so does the service."""
    _, tasks = train(served, storage, 8, keep_weights="all")
    task = next(t for t in tasks if t.seed == 0)
    path, over = f"/api/v1/trials/{task.trial}/weights", threading.Event()

    def hang(*_: Any) -> int:
        over.wait(60)
        raise StorageError("it was given up")

    with monkeypatch.context() as hung:
        hung.setattr(kept_route, "ANSWER_S", 0.5)
        hung.setattr(Storage, "size", hang)
        try:
            reply = await api.get(path)
        finally:
            over.set()
    assert reply.status_code == 503
    assert "storage has not answered for 0.5 s" in reply.json()["detail"]
    assert (await api.get(path)).status_code == 200


async def test_storage_that_hangs_amid_a_file_breaks_the_reply_off(
    served: Served, api: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shorter than it said, so that nobody takes it for whole."""
    _, tasks = train(served, storage, 8, keep_weights="all")
    task = next(t for t in tasks if t.seed == 0)
    over = threading.Event()

    def pieces(_: Storage, __: str) -> Iterator[bytes]:
        kept_route.ANSWER_S = 0.5  # from now on: the first piece had time enough
        yield b"first"
        over.wait(60)

    monkeypatch.setattr(kept_route, "ANSWER_S", 30.0)
    monkeypatch.setattr(kept_route, "_pieces", pieces)
    try:
        transport = httpx.ASGITransport(served.app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as strict:
            with pytest.raises(TimeoutError):
                await strict.get(f"/api/v1/trials/{task.trial}/weights")
    finally:
        over.set()


async def test_workers_are_told_what_to_keep(served: Served, storage: Storage) -> None:
    """Every threshold of the spec as submitted, and what the file says of the cell."""
    _, tasks = train(served, storage, 4, keep_weights="successes")
    keeps = [t.files.keep for t in tasks if t.files]
    assert keeps[0] == Keep(
        (
            Rule("test_accuracy", "at_least", 0.9, "end"),
            Rule("test_accuracy", "at_least", 0.5, "end"),
        ),
        {"arm": "plain", "setting": '{"learning_rate": 0.1}'},
    )
    _, tasks = train(served, storage, 1, keep_weights="all")
    assert tasks[0].files is not None
    assert tasks[0].files.keep is not None
    assert tasks[0].files.keep.rules is None
    _, tasks = train(served, storage, 1)
    assert tasks[0].files is not None
    assert tasks[0].files.keep is None


async def test_a_dry_run_says_how_much_is_kept_at_most_and_too_much_is_refused(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty-four networks of 784 x 8, 8 x 8 and 8 x 10 numbers, with room for their optimiser."""
    dry = {"dry_run": "true"}
    none = (await api.post("/api/v1/sweeps", json=spec(), params=dry)).json()
    assert none["kept_bytes"] == 0
    body = spec(keep_weights="all")
    most = (await api.post("/api/v1/sweeps", json=body, params=dry)).json()["kept_bytes"]
    assert most == kept_bytes(plan(keep_weights="all"))
    assert most >= 24 * 4 * (784 * 8 + 8 * 8 + 8 * 10)
    monkeypatch.setattr("service.api.sweeps.storage_bytes_of", lambda _: RESERVE + most // 2)
    refused = await api.post("/api/v1/sweeps", json=body)
    assert (refused.status_code, "in storage" in refused.json()["detail"]) == (507, True)
    assert (await api.post("/api/v1/sweeps", json=spec())).status_code == 201


@pytest.fixture
def running(sqlite: Engine, tmp_path: Path) -> Iterator[Running]:
    """A served application."""
    with serving(sqlite, tmp_path) as found:
        yield found


def test_the_client_and_export_fetch_weights_and_check_them(
    running: Running, storage: Storage, tmp_path: Path
) -> None:
    with Client(running.url) as client:
        sweep = client.submit(spec(keep_weights="all"))["id"]
        running.train_all(lambda t: kept(t, storage) if t.seed == 0 else outcome(t))
        first = next(t for t in client.trials(sweep) if t["weights"])
        got = BytesIO()
        assert client.weights(first["id"], got) == first["weights"]["sha256"]
        assert got.getvalue() == f"weights of {first['id']}".encode() * 1000
        assert client.curve(first["id"])["steps"] == [100, 200]
        with pytest.raises(ServiceError, match="no weights of trial"):
            client.weights(
                next(t for t in client.trials(sweep) if not t["weights"])["id"], BytesIO()
            )
        folder = tmp_path / "out"
        asked = ["export", sweep, "-o", str(tmp_path / "b.zip"), "--weights", str(folder)]
        done = CliRunner().invoke(app, [*asked, "--url", running.url])
        assert done.exit_code == 0, done.output
        assert len(list(folder.iterdir())) == 4
        assert (folder / f"trial-{first['id']}.safetensors").read_bytes() == got.getvalue()
        storage.write(weights_name(sweep, first["id"], 1), b"x" * len(got.getvalue()))
        with pytest.raises(DamagedFileError):
            client.weights(first["id"], BytesIO())

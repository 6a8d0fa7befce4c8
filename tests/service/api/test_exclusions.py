"""Excluding a worker over HTTP."""

import httpx
import pytest

from tests.service.api.conftest import Served
from tests.service.api.test_routes import submit, train

pytestmark = pytest.mark.anyio


async def test_a_worker_is_excluded_and_the_trail_says_who_when_and_why(
    api: httpx.AsyncClient, served: Served
) -> None:
    sweep = (await submit(api))["id"]
    train(served, sweep, 8)
    worker = (await api.get("/api/v1/trials/1")).json()["worker"]
    base = f"/api/v1/sweeps/{sweep}"
    body = {"worker": worker, "reason": "the audit flags it"}
    assert (await api.get(f"{base}/exclusions")).json() == {"items": []}
    done = await api.post(f"{base}/exclude", json=body)
    assert done.status_code == 200
    assert (done.json()["trials"], done.json()["pending"]) == (8, 8)
    [listed] = (await api.get(f"{base}/exclusions")).json()["items"]
    assert (listed["worker"], listed["reason"]) == (worker, "the audit flags it")
    assert (await api.get("/api/v1/trials/1")).json()["state"] == "waiting"
    unknown = await api.post(f"{base}/exclude", json=body | {"worker": "nobody"})
    assert unknown.status_code == 409
    assert unknown.json()["cure"] == f"name one of {worker}"


@pytest.mark.parametrize(
    "body",
    [{"worker": "w"}, {"worker": "", "reason": "r"}, {"worker": "w\0", "reason": "r"}],
)
async def test_who_and_why_must_be_said(api: httpx.AsyncClient, body: dict[str, str]) -> None:
    sweep = (await submit(api))["id"]
    reply = await api.post(f"/api/v1/sweeps/{sweep}/exclude", json=body)
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"].startswith("body.")
    assert (await api.get("/api/v1/sweeps/no/exclusions")).status_code == 404

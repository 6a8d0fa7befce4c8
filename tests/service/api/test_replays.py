"""Replays over HTTP: asked for, listed, and refused with the cure."""

import httpx
import pytest

from service.store.classes import class_id
from tests.service.api.conftest import Served
from tests.service.api.test_routes import submit, train
from tests.service.samples import NUMERICS

pytestmark = pytest.mark.anyio
OWN = class_id(NUMERICS)


async def test_replays_are_asked_for_by_trial_and_by_share(
    api: httpx.AsyncClient, served: Served
) -> None:
    sweep = (await submit(api))["id"]
    train(served, sweep, 8)
    one = await api.post("/api/v1/trials/3/replay", json={})
    assert one.status_code == 202
    assert (one.json()["state"], one.json()["equal"], one.json()["trial"]) == ("waiting", None, 3)
    assert served.woken
    base = f"/api/v1/sweeps/{sweep}"
    some = await api.post(f"{base}/replay", json={"sample": 0.2})
    assert some.status_code == 202
    assert some.json()["counts"]["waiting"] == 1 + len(some.json()["replays"])
    listed = (await api.get(f"{base}/replays", params={"limit": 1})).json()
    assert [r["trial"] for r in listed["items"]] == [3]
    rest = (await api.get(f"{base}/replays", params={"after": listed["next"]})).json()
    assert [r["id"] for r in rest["items"]] == some.json()["replays"]
    assert [r["id"] for r in (await api.get("/api/v1/trials/3")).json()["replays"]] == [
        one.json()["id"]
    ]


@pytest.mark.parametrize("sample", [0, -0.1, 1.5, "many", None, True, "0.5"])
async def test_a_share_is_above_0_and_at_most_1(api: httpx.AsyncClient, sample: object) -> None:
    sweep = (await submit(api))["id"]
    reply = await api.post(f"/api/v1/sweeps/{sweep}/replay", json={"sample": sample})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == "body.sample"


async def test_without_a_worker_of_the_class_the_refusal_says_what_to_do(
    api: httpx.AsyncClient, served: Served
) -> None:
    sweep = (await submit(api))["id"]
    train(served, sweep, 8)
    served.classes = {"another"}
    for path, body in (
        ("/api/v1/trials/3/replay", {}),
        (f"/api/v1/sweeps/{sweep}/replay", {"sample": 1}),
    ):
        reply = await api.post(path, json=body)
        assert reply.status_code == 409
        assert "of which no worker is (theirs: another)" in reply.json()["detail"]
        assert "start the service with the code" in reply.json()["cure"]
    assert (await api.get(f"/api/v1/sweeps/{sweep}/replays")).json()["items"] == []


async def test_unknown_trials_and_sweeps_are_not_found(api: httpx.AsyncClient) -> None:
    assert (await api.post("/api/v1/trials/99/replay", json={})).status_code == 404
    assert (await api.post("/api/v1/sweeps/no/replay", json={"sample": 1})).status_code == 404
    assert (await api.get("/api/v1/sweeps/no/replays")).status_code == 404
    assert (await api.get("/api/v1/sweeps/no/audit")).status_code == 404

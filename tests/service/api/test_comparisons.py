"""The route that compares two sweeps: what it asks for, and what it refuses."""

from typing import Any

import httpx
import pytest

from service.client import Client
from tests.service.api.conftest import Served
from tests.service.api.test_routes import submit, train

pytestmark = pytest.mark.anyio

PLAIN, NOISY = {"plain": {"noise_eta": 0.0}}, {"noisy": {"noise_eta": 0.01}}


async def ask(api: httpx.AsyncClient, one: str, other: str, **params: Any) -> httpx.Response:
    return await api.get(f"/api/v1/sweeps/{one}/compare", params={"with": other, **params})


async def test_the_only_arms_are_compared_unless_others_are_named(
    api: httpx.AsyncClient, served: Served
) -> None:
    plain, noisy = [(await submit(api, arms=arms))["id"] for arms in (PLAIN, NOISY)]
    for sweep in (plain, noisy) * 2:  # claims run ahead by a cohort at most
        train(served, sweep)
    found = (await ask(api, noisy, plain)).json()
    assert [s["sweep"] for s in found["sweeps"]] == [noisy, plain]
    assert found["paired"]["arm"] == {"sweep": noisy, "arm": "noisy"}
    assert found["paired"]["against"] == {"sweep": plain, "arm": "plain"}
    assert [c["pairs"] for c in found["paired"]["criteria"]] == [12, 12]
    assert "declares no primary contrast" in found["merged"]["not_possible"]
    narrow = (await ask(api, noisy, plain, threshold=0.5, metric="test_accuracy")).json()
    assert [c["threshold"] for c in narrow["paired"]["criteria"]] == [0.5]


async def test_several_arms_are_to_be_named_and_the_error_lists_them(
    api: httpx.AsyncClient,
) -> None:
    one, other = [(await submit(api))["id"] for _ in range(2)]
    reply = await ask(api, one, other)
    assert reply.status_code == 422
    missing = reply.json()["errors"]
    assert [e["field"] for e in missing] == ["query.arm", "query.against"]
    assert all(e["cure"] == "name one of 'plain', 'noisy'" for e in missing)
    assert all("has 2 arms" in e["rule"] for e in missing)
    [wrong] = (await ask(api, one, other, arm="nosiy", against="plain")).json()["errors"]
    assert (wrong["field"], wrong["cure"]) == ("query.arm", "did you mean 'noisy'?")
    found = (await ask(api, one, other, arm="noisy", against="plain")).json()
    assert found["merged"]["shared_pairs"] == 12


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"threshold": 0.7}, "query.threshold"),
        ({"threshold": "nan"}, "query.threshold"),
        ({"threshold": "1e999"}, "query.threshold"),
        ({"threshold": "high"}, "query.threshold"),
        ({"metric": "loss"}, "query.metric"),
        ({"against": "noisy"}, "query.against"),
        ({"arms": "noisy"}, "query.arms"),
    ],
)
async def test_what_is_not_there_is_refused_by_name(
    api: httpx.AsyncClient, params: dict[str, Any], field: str
) -> None:
    one, other = [(await submit(api, arms=arms))["id"] for arms in (NOISY, PLAIN)]
    assert (await ask(api, one, other)).status_code == 200
    reply = await ask(api, one, other, **params)
    assert reply.status_code == 422
    assert [e["field"] for e in reply.json()["errors"]] == [field]


async def test_the_other_sweep_is_another_one_that_is_there(api: httpx.AsyncClient) -> None:
    one = (await submit(api))["id"]
    [itself] = (await ask(api, one, one)).json()["errors"]
    assert itself["field"] == "query.with"
    assert (await ask(api, one, "nobody")).status_code == 404
    assert (await ask(api, "nobody", one)).status_code == 404
    missing = await api.get(f"/api/v1/sweeps/{one}/compare")
    assert missing.status_code == 422
    assert missing.json()["errors"][0]["field"] == "query.with"
    assert (await ask(api, one, "a\x00b")).status_code == 422


def test_the_client_asks_for_what_it_is_given() -> None:
    seen: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        return httpx.Response(200, json={"paired": {}})

    with Client(transport=httpx.MockTransport(answer)) as client:
        assert client.compare("a", "b", against="plain", threshold=0.5) == {"paired": {}}
    assert seen[0].path == "/api/v1/sweeps/a/compare"
    assert dict(seen[0].params) == {"with": "b", "against": "plain", "threshold": "0.5"}

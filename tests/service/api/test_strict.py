"""Nothing is silently ignored: what a route would not read is refused by name, on every route."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session, sessionmaker

from service.api.app import Health, create_app
from service.api.guard import CREDENTIALS
from service.configuration import Configuration
from service.store import sweeps
from service.store.engine import reading_factory, session_factory
from service.store.tables import cells
from tests.service.api.conftest import BASE, Served
from tests.service.api.test_routes import submit, train
from tests.service.samples import spec

pytestmark = pytest.mark.anyio

#: routes that no description lists
PAGES = (
    "/", "/sweeps/{sweep}", "/fragments/sweeps", "/fragments/sweeps/{sweep}",
    "/fragments/sweeps/{sweep}/findings", "/static/dashboard.css", "/docs", "/openapi.json",
)  # fmt: skip
ROOT = "/api/v1/sweeps"
#: bodies of routes that take no empty one
BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/keys": {"name": "n", "owner": "o", "scope": "read"},
    f"{ROOT}/{{sweep}}/extend": {"seeds": 6},
    f"{ROOT}/{{sweep}}/replay": {"sample": 0.5},
    f"{ROOT}/{{sweep}}/exclude": {"worker": "w", "reason": "why"},
    f"{ROOT}/{{sweep}}": {"criteria": {"add": [{"metric": "test_accuracy", "at_least": 0.3}]}},
}
EVENTS = f"{ROOT}/{{sweep}}/events"
COMPARE = f"{ROOT}/{{sweep}}/compare"
HUGE = 10**30


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every route."""
    described = {
        (method.upper(), path)
        for path, operations in app.openapi()["paths"].items()
        for method in operations
    }
    return sorted(described) + [("GET", path) for path in PAGES]


async def ask(
    api: httpx.AsyncClient, method: str, path: str, sweep: str, trial: int, **options: Any
) -> httpx.Response:
    """A route's reply, with names put into its path."""
    if path == COMPARE and "params" not in options:
        other = (await submit(api, root="0" * 32))["id"]
        options["params"] = {"with": other}
    if path == EVENTS and "params" not in options:  # which end with the sweep
        sweep = (await submit(api, root="1" * 32))["id"]
        await api.post(f"{ROOT}/{sweep}/cancel", json={})
    names: dict[str, Any] = {"sweep": sweep, "trial": trial, "name": "deep_mlp", "key": "1"}
    if "{key}" in path and "params" not in options:
        names["key"] = (await api.post("/api/v1/keys", json=BODIES["/api/v1/keys"])).json()["id"]
    if "presets" in path:
        names["name"] = "deep-mlp-demo"
    if method in ("POST", "PATCH"):
        options.setdefault("json", spec() if path == ROOT else BODIES.get(path, {}))
    return await api.request(method, path.format(**names), **options)


async def some(api: httpx.AsyncClient, served: Served) -> tuple[str, int]:
    """A sweep with a settled cohort, and one of its trials."""
    sweep = (await submit(api))["id"]
    train(served, sweep, 8)
    trial: int = (await api.get(f"{ROOT}/{sweep}/trials")).json()["items"][0]["id"]
    return sweep, trial


async def test_an_unknown_parameter_is_refused_by_name_on_every_route(
    api: httpx.AsyncClient, served: Served
) -> None:
    sweep, trial = await some(api, served)
    before = served.woken
    for method, path in routes(served.app):
        reply = await ask(api, method, path, sweep, trial, params={"colour": "red"})
        assert reply.status_code == 422, (method, path)
        [problem] = reply.json()["errors"]
        assert (problem["field"], problem["value"]) == ("query.colour", "'red'")
    assert served.woken == before
    assert len((await api.get(ROOT)).json()["items"]) == 1


async def test_every_route_answers_without_it(api: httpx.AsyncClient, served: Served) -> None:
    """Or the test above would show nothing."""
    sweep, trial = await some(api, served)
    found = routes(served.app)
    assert len(found) >= 25
    for method, path in sorted(found, key=lambda route: route[0] == "DELETE"):
        reply = await ask(api, method, path, sweep, trial)
        cancelled = reply.status_code == 409  # by an earlier one of them
        none_kept = path.endswith("/weights") and "no weights of trial" in reply.text
        assert reply.is_success or cancelled or none_kept, (method, path, reply.text)


async def test_a_misspelt_dry_run_makes_no_sweep_and_a_misspelt_filter_no_list(
    api: httpx.AsyncClient,
) -> None:
    dry = await api.post(f"{ROOT}?dry-run=true", json=spec())
    assert dry.json()["errors"][0]["cure"] == "did you mean 'dry_run'?"
    twice = await api.post(f"{ROOT}?dry_run=true&dry_run=false", json=spec())
    assert "given once" in twice.json()["errors"][0]["rule"]
    assert (await api.get(ROOT)).json()["items"] == []
    sweep = (await submit(api))["id"]
    found = await api.get(f"{ROOT}/{sweep}/trials?sucess=true&criterion=0")
    assert found.json()["errors"][0]["cure"] == "did you mean 'success'?"


async def test_a_body_key_or_a_body_that_would_be_ignored_is_refused(
    api: httpx.AsyncClient,
) -> None:
    base = f"{ROOT}/{(await submit(api))['id']}"
    for what, key in (("pause", "reason"), ("cancel", "force"), ("resume", "accept_clas")):
        reply = await api.post(f"{base}/{what}", json={key: "x"})
        assert reply.status_code == 422, what
        [problem] = reply.json()["errors"]
        assert problem["field"] == f"body.{key}"
        assert problem["rule"] == "there is no such key"
    assert problem["cure"] == "did you mean 'accept_class'?"
    assert (await api.post(f"{base}/pause", json=[])).status_code == 422
    body = await api.request("DELETE", base, json={"force": True})
    assert "takes no body" in body.json()["errors"][0]["rule"]
    assert (await api.get(base)).json()["state"] == "waiting"


async def test_a_class_to_accept_is_refused_where_none_is_asked_for(
    api: httpx.AsyncClient,
) -> None:
    base = f"{ROOT}/{(await submit(api))['id']}"
    for state in ("waiting", "paused"):
        if state == "paused":
            await api.post(f"{base}/pause", json={})
        reply = await api.post(f"{base}/resume", json={"accept_class": "0123456789abcdef"})
        assert reply.status_code == 409
        assert "'0123456789abcdef'" in reply.json()["detail"]
        assert "without accept_class" in reply.json()["cure"]
        assert (await api.get(base)).json()["state"] == state


@pytest.mark.parametrize("name", CREDENTIALS)
async def test_credentials_are_refused_since_nobody_would_check_them(
    api: httpx.AsyncClient, name: str
) -> None:
    for path in ("/healthz", ROOT, "/"):
        reply = await api.get(path, headers={name: "Bearer secret"})
        assert reply.status_code == 400
        assert name in reply.json()["detail"]
        assert "secret" not in reply.text
    with_url = await api.get(f"http://user:secret@127.0.0.1:8321{ROOT}")
    assert with_url.status_code == 400


async def test_a_post_without_a_body_still_says_that_it_is_json(api: httpx.AsyncClient) -> None:
    """A form of another page can send a POST, but not of this type."""
    base = f"{ROOT}/{(await submit(api))['id']}"
    for what in ("pause", "resume", "cancel"):
        assert (await api.post(f"{base}/{what}")).status_code == 415
        form = await api.post(f"{base}/{what}", data={"a": "b"})
        assert form.status_code == 415
    assert (await api.patch(base)).status_code == 415
    json = {"Content-Type": "application/json"}
    assert (await api.post(f"{base}/pause", headers=json)).json()["state"] == "paused"


@pytest.mark.parametrize("number", [HUGE, 2**63, -1, -(2**63), -HUGE])
async def test_numbers_beyond_every_id_are_refused_or_not_found(
    api: httpx.AsyncClient, number: int
) -> None:
    sweep = (await submit(api))["id"]
    assert (await api.get(f"/api/v1/trials/{number}")).status_code == 404
    for name in ("after", "limit", "cell", "criterion"):
        query = {name: number, "success": True} if name == "criterion" else {name: number}
        reply = await api.get(f"{ROOT}/{sweep}/trials", params=query)
        assert reply.status_code == 422, name
        assert reply.json()["errors"][0]["field"] == f"query.{name}"
    assert (await api.get(ROOT, params={"limit": number})).status_code == 422
    last = await api.get(f"{ROOT}/{sweep}/trials", params={"after": 2**63 - 1, "cell": 2**31 - 1})
    assert last.json()["items"] == []


@pytest.fixture
def on_each(engine: Engine, tmp_path: Any) -> FastAPI:
    """The application over each database."""
    return create_app(
        writing=session_factory(engine),
        reading=reading_factory(engine),
        configuration=Configuration(state_folder=tmp_path),
        wake=lambda: None,
        health=lambda: Health(store=True, dispatcher=True, workers=1),
    )


async def test_a_nul_character_is_in_no_name(on_each: FastAPI) -> None:
    """PostgreSQL would fail to be asked for it."""
    transport = httpx.ASGITransport(on_each, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as api:
        sweep = (await submit(api))["id"]
        for path in (
            f"{ROOT}/a%00b", f"{ROOT}/a%00b/trials", "/sweeps/a%00", "/api/v1/presets/a%00b"
        ):  # fmt: skip
            assert (await api.get(path)).status_code == 404, path
        for path in (f"{ROOT}?after=%00", f"{ROOT}/{sweep}/trials?arm=a%00b", "/?after=a%00"):
            assert (await api.get(path)).status_code == 422, path
        last = {"cell": 2**31 - 1, "after": 2**63 - 1}
        assert (await api.get(f"{ROOT}/{sweep}/trials", params=last)).json()["items"] == []
        assert (await api.get(f"/api/v1/trials/{HUGE}")).status_code == 404
        named = await api.post(ROOT, json=spec(name="a\x00b"))
        assert named.status_code == 422
        base = f"{ROOT}/{sweep}"
        assert (await api.post(f"{base}/resume", json={"accept_class": "\x00"})).status_code == 409
        unknown = await api.post(ROOT, json=spec(fixed={"a\x00b": "\x00"}))
        assert unknown.status_code == 422


@pytest.mark.parametrize("key", ["", "a" * 256, "a\x01b", "ä"])
async def test_a_key_that_cannot_be_kept_is_refused(api: httpx.AsyncClient, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    assert (await api.post(ROOT, json=spec(), headers=headers)).status_code == 422


@pytest.mark.parametrize(
    ("part", "body"),
    [
        ("/{sweep}/extend", {"grid": {"x\ud800": [4]}}),
        ("/{sweep}/extend", {"arms": {"x": {"\ud800": 1}}}),
        ("", spec(fixed={"depth\ud800": 3})),
        ("", spec(grid={"x\ud800": [4]})),
        ("", spec(arms={"x": {"\ud800": 1}, "y": {}})),
    ],
)
async def test_a_key_with_a_lone_surrogate_is_refused_by_name(
    api: httpx.AsyncClient, served: Served, part: str, body: dict[str, Any]
) -> None:
    sweep = (await submit(api))["id"]
    train(served, sweep)
    headers = {"content-type": "application/json"}
    path = ROOT + part.format(sweep=sweep)
    reply = await api.post(path, content=json.dumps(body), headers=headers)
    assert reply.status_code == 422, reply.text
    assert any("\\ud800" in e["field"] for e in reply.json()["errors"])


async def test_a_replay_needs_no_disk(api: httpx.AsyncClient, served: Served) -> None:
    """The disk has filled since; the sweep is there already."""
    key = {"Idempotency-Key": "k"}
    first = await api.post(ROOT, json=spec(), headers=key)
    served.free = 0
    again = await api.post(ROOT, json=spec(), headers=key)
    assert again.json()["id"] == first.json()["id"]
    assert (await api.post(ROOT, json=spec())).status_code == 507
    assert (await api.post(ROOT, json=spec(seeds=4), headers=key)).status_code == 409


async def test_equal_keys_at_once_make_one_sweep(on_each: FastAPI, engine: Engine) -> None:
    """As after a lost reply: the same request, by 50 clients at once."""
    sessions: sessionmaker[Session] = session_factory(engine)
    transport = httpx.ASGITransport(on_each, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as api:
        key = {"Idempotency-Key": "k"}
        replies = await asyncio.gather(
            *(api.post(ROOT, json=spec(), headers=key) for _ in range(50))
        )
        other = await api.post(ROOT, json=spec(seeds=8), headers=key)
    assert [r.status_code for r in replies] == [201] * 50
    assert len({r.json()["id"] for r in replies}) == 1
    assert other.status_code == 409
    with sessions() as session:
        assert len(sweeps.page(session, after=None, limit=9)) == 1
        assert session.scalar(select(func.count()).select_from(cells)) == 4

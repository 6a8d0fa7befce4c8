"""No route answers without a key where keys are on, and no scope does more than it says."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from service.api.access import ROUTES, Accesses, UndeclaredRouteError, access_of, declared
from tests.service.api.keyed import Keyed
from tests.service.samples import spec

pytestmark = pytest.mark.anyio

SWEEPS = "/api/v1/sweeps"
#: answered without a key: they tell nothing
OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/static/{name}"),
    ("GET", "/login"),
    ("POST", "/login"),
}
#: what only admins may
ADMINS = re.compile(r"/api/v1/(keys|activity)")


@pytest.fixture
def keyed(sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyed:
    """The application with keys on, where wrong ones are looked at however many came."""
    monkeypatch.setattr("service.access.keyring.MOST_WRONG", 10**6)
    return Keyed(sqlite, tmp_path)


def needs(method: str, path: str) -> str | None:
    """The scope that a route must ask, said apart from the table that it is held against."""
    if (method, path) in OPEN:
        return None
    if ADMINS.match(path):
        return "admin"
    return "read" if method == "GET" or path == "/logout" else "submit"


async def ask(api: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
    """Calls a route about nothing that exists, with a body that is JSON."""
    body: dict[str, Any] = {} if method in ("GET", "DELETE") else {"json": {}}
    return await api.request(method, re.sub(r"{\w+(:\w+)?}", "1", path), **body)


async def test_every_route_answers_each_caller_as_its_scope_says(keyed: Keyed) -> None:
    """Every route x every kind of key: exactly 401, exactly 403, or what the route answers."""
    key = keyed.key("ada", "admin")
    flipped = key[:-1] + ("0" if key[-1] != "0" else "1")
    callers: dict[str, tuple[str | None, set[str]]] = {
        "no key": (None, set()),
        "no key of ours": ("0123", set()),
        "another secret": (flipped, set()),
        "unknown": ("sb_" + "0" * 16 + "_" + "0" * 48, set()),
        "revoked": (keyed.revoked("rex"), set()),
        "expired": (keyed.expired("eve"), set()),
        "read": (keyed.key("rita", "read"), {"read"}),
        "submit": (keyed.key("sue", "submit"), {"read", "submit"}),
        "admin": (key, {"read", "submit", "admin"}),
    }
    routes = list(declared(keyed.app.routes))
    assert len(routes) == len(set(routes)) >= 40
    for name, (given, scopes) in callers.items():
        async with keyed.client(given) as api:
            for method, path in routes:
                reply = await ask(api, method, path)
                wanted = needs(method, path)
                where = (name, method, path, reply.status_code, reply.text[:200])
                if wanted is None or wanted in scopes:
                    assert reply.status_code not in (401, 403), where
                    continue
                assert reply.status_code == (403 if scopes else 401), where
                assert reply.headers["www-authenticate"].startswith("Bearer"), where
                if scopes:
                    assert f"needs scope {wanted}" in reply.json()["detail"], where
    assert keyed.woken == 0


def test_every_route_is_in_the_table_and_the_table_names_no_other(keyed: Keyed) -> None:
    assert set(declared(keyed.app.routes)) == set(ROUTES)
    for method, path in ROUTES:
        scope = access_of(method, path).scope
        assert (scope.value if scope else None) == needs(method, path), (method, path)
        assert (access_of(method, path).act != "") == (method != "GET"), (method, path)


def test_a_route_that_says_nothing_stops_the_service_from_starting() -> None:
    app = FastAPI()
    app.add_api_route("/api/v1/secrets", lambda: "all of them")
    with pytest.raises(UndeclaredRouteError, match=r"/openapi\.json does not say"):
        Accesses(app.routes)
    bare = FastAPI(openapi_url=None)
    bare.add_api_route("/api/v1/secrets", lambda: "all of them")
    with pytest.raises(UndeclaredRouteError, match="GET /api/v1/secrets does not say"):
        Accesses(bare.routes)


async def test_the_description_names_the_scope_of_every_operation(keyed: Keyed) -> None:
    """Where keys are on; and the answers of who has none."""
    async with keyed.client(keyed.key("rita", "read")) as api:
        found = (await api.get("/openapi.json")).json()
    assert found["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            scope = needs(method.upper(), path)
            asked = [] if scope is None else [{"key": [scope]}]
            assert operation.get("security", []) == asked, (method, path)
            if scope is not None:
                assert {"401", "403"} <= operation["responses"].keys(), (method, path)


async def test_what_is_no_route_is_told_only_to_who_may_read(keyed: Keyed) -> None:
    async with keyed.client() as api:
        for path in ("/nope", "/api/v1/nope", f"{SWEEPS}/", "/healthz/", "//healthz"):
            assert (await api.get(path)).status_code == 401, path
        assert (await api.put(SWEEPS)).status_code == 401
        assert (await api.post("/healthz", json={})).status_code == 401
    async with keyed.client(keyed.key("rita", "read")) as api:
        assert (await api.get("/nope")).status_code == 404
        assert (await api.put(SWEEPS)).status_code == 405


async def test_a_body_is_not_read_of_who_is_not_known(keyed: Keyed) -> None:
    async def body():  # type: ignore[no-untyped-def]  # noqa: ANN202 - a stream
        raise AssertionError("somebody read the body")
        yield b""

    async with keyed.client() as api:
        reply = await api.post(SWEEPS, content=body())
    assert reply.status_code == 401


async def test_probes_tell_nothing_but_whether_it_works(keyed: Keyed) -> None:
    async with keyed.client() as api:
        assert (await api.get("/healthz")).json() == {"status": "alive"}
        found = (await api.get("/readyz")).json()
        assert found.pop("status") in ("ready", "not ready")
        assert found
        assert all(isinstance(value, bool | int) for value in found.values()), found
        assert str(keyed.folder) not in str(found)


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"Authorization": "Basic dTpw"}, 401, "Bearer only"),
        ({"X-Api-Key": "KEY"}, 400, "x-api-key header, which nobody reads"),
        ({"Authorization": "Bearer"}, 401, "no API key"),
        ({"Authorization": "Bearer KEY KEY"}, 401, "no API key"),
    ],
)
async def test_credentials_of_another_kind_are_refused_by_name(
    keyed: Keyed, headers: dict[str, str], status: int, words: str
) -> None:
    key = keyed.key("ada", "admin")
    sent = {name: value.replace("KEY", key) for name, value in headers.items()}
    async with keyed.client(headers=sent) as api:
        reply = await api.get(SWEEPS)
    assert reply.status_code == status
    assert words in reply.json()["detail"]
    assert key not in reply.text


async def test_two_authorization_headers_are_refused(keyed: Keyed) -> None:
    key = f"Bearer {keyed.key('ada', 'admin')}"
    async with keyed.client() as api:
        both = [("Authorization", key), ("Authorization", key)]
        assert (await api.get(SWEEPS, headers=both)).status_code == 400


async def test_only_owners_and_admins_change_a_sweep(keyed: Keyed) -> None:
    """And what is not there is not there for all."""
    sue, sam, root = (keyed.key(*who) for who in (("sue",), ("sam",), ("root", "admin")))
    async with keyed.client(sue) as own, keyed.client(sam) as other, keyed.client(root) as admin:
        made = await own.post(SWEEPS, json=spec())
        sweep = made.json()["id"]
        assert made.json()["owner"] == "sue"
        base = f"{SWEEPS}/{sweep}"
        steering = [
            ("POST", f"{base}/pause", {}),
            ("POST", f"{base}/resume", {}),
            ("POST", f"{base}/extend", {"seeds": 12}),
            ("POST", f"{base}/exclude", {"worker": "w", "reason": "why"}),
            ("POST", f"{base}/replay", {"sample": 0.5}),
            ("PATCH", base, {"criteria": {"add": []}}),
            ("POST", f"{base}/cancel", {}),
            ("DELETE", base, None),
        ]
        declared_steering = {p for (m, p), a in ROUTES.items() if a.of == "sweep"}
        assert {p.replace(sweep, "{sweep}") for _, p, _ in steering} == declared_steering
        for method, path, body in steering:
            reply = await other.request(method, path, json=body)
            assert reply.status_code == 403, (method, path)
            assert "is sue's, and sam may not change it" in reply.json()["detail"]
        assert (await other.get(base)).json()["state"] == "waiting"
        assert (await other.post(f"{SWEEPS}/nope/pause", json={})).status_code == 404
        assert (await own.post(f"{base}/pause", json={})).json()["state"] == "paused"
        assert (await admin.post(f"{base}/resume", json={})).json()["state"] == "waiting"
        for method, path, body in steering:
            reply = await admin.request(method, path, json=body)
            assert reply.status_code != 403, (method, path)


@pytest.mark.parametrize("written", ["{}", "+{}", "%20{}", "{}.0", "0{}", "-1", "x"])
async def test_a_trial_is_replayed_by_its_sweeps_owner_however_its_id_is_written(
    keyed: Keyed, written: str
) -> None:
    from tests.service.api.test_routes import train  # noqa: PLC0415 - it takes any with `writing`

    sue, sam = keyed.key("sue"), keyed.key("sam")
    async with keyed.client(sue) as own, keyed.client(sam) as other:
        sweep = (await own.post(SWEEPS, json=spec())).json()["id"]
        train(keyed, sweep)  # type: ignore[arg-type]
        trial = (await own.get(f"{SWEEPS}/{sweep}/trials")).json()["items"][0]["id"]
        path = f"/api/v1/trials/{written.format(trial)}/replay"
        refused = await other.post(path, json={})
        taken = await own.post(path, json={})
    if taken.status_code in (404, 422):  # nobody's way to write an id
        assert refused.status_code == taken.status_code
    else:
        assert (refused.status_code, taken.status_code) == (403, 202)


async def test_what_nobody_owns_only_admins_change(keyed: Keyed) -> None:
    """A sweep of the time before keys."""
    async with keyed.client(keyed.key("sue")) as api:
        sweep = (await api.post(SWEEPS, json=spec())).json()["id"]
        with keyed.writing.begin() as session:
            session.connection().exec_driver_sql("UPDATE sweeps SET owner = ''")
        reply = await api.post(f"{SWEEPS}/{sweep}/pause", json={})
    assert reply.status_code == 403
    assert "nobody's" in reply.json()["detail"]
    async with keyed.client(keyed.key("root", "admin")) as api:
        assert (await api.post(f"{SWEEPS}/{sweep}/pause", json={})).status_code == 200


async def test_equal_idempotency_keys_of_two_owners_are_two(keyed: Keyed) -> None:
    made = {}
    for owner in ("sue", "sam"):
        async with keyed.client(keyed.key(owner), headers={"Idempotency-Key": "k"}) as api:
            first = (await api.post(SWEEPS, json=spec(name=owner))).json()
            again = (await api.post(SWEEPS, json=spec(name=owner))).json()
            assert first["id"] == again["id"]
            made[owner] = first["id"]
            assert (await api.post(SWEEPS, json=spec(seeds=8))).status_code == 409
    assert made["sue"] != made["sam"]


async def test_one_lists_ones_own_or_anybodys(keyed: Keyed) -> None:
    sue, sam = keyed.key("sue"), keyed.key("sam")
    async with keyed.client(sue) as own, keyed.client(sam) as other:
        sweep = (await own.post(SWEEPS, json=spec())).json()["id"]
        for api, owner, found in (
            (own, "me", [sweep]),
            (own, "sue", [sweep]),
            (other, "me", []),
            (other, "sue", [sweep]),
        ):
            items = (await api.get(SWEEPS, params={"owner": owner})).json()["items"]
            assert [s["id"] for s in items] == found

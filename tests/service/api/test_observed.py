"""Every request has an id and a line in the log; what no route foresaw is a problem too."""

import math
import re

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from service.api import catalogue, observed
from tests.service.api.test_routes import submit

pytestmark = pytest.mark.anyio
PATH = "/api/v1/experiments"


def broken(error: Exception) -> object:
    """A function that raises."""

    def fails() -> dict[str, object]:
        raise error

    return fails


async def test_a_request_gets_an_id_and_a_sane_one_of_the_client_is_kept(
    api: httpx.AsyncClient,
) -> None:
    first, second = [(await api.get("/healthz")).headers["x-request-id"] for _ in range(2)]
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second
    kept = await api.get("/healthz", headers={"X-Request-ID": "trace-7.a_B"})
    assert kept.headers["x-request-id"] == "trace-7.a_B"
    for insane in ("a b", "x" * 65, "a\tb", "<script>", ""):
        reply = await api.get("/healthz", headers={"X-Request-ID": insane})
        assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"]), insane
    both = [("X-Request-ID", "one"), ("X-Request-ID", "two")]
    assert (await api.get("/healthz", headers=both)).headers["x-request-id"] not in ("one", "two")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/v1/sweeps/nobody", {}, 404),
        ("/api/v1/sweeps?limit=0", {}, 422),
        ("/nowhere", {}, 404),
        ("/healthz", {"Host": "example.org"}, 403),
    ],
)
async def test_a_problem_names_the_request(
    api: httpx.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    """Whoever refuses it: a route, the router, or the safety before them."""
    reply = await api.get(path, headers={"X-Request-ID": "mine", **headers})
    assert reply.status_code == status
    assert reply.json()["request_id"] == reply.headers["x-request-id"] == "mine"


async def test_a_route_that_breaks_is_a_problem_with_all_headers_and_one_error_in_the_log(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "experiments", broken(KeyError("secret")))
    with capture_logs() as logged:
        reply = await api.get(PATH)
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in reply.text
    assert [line["event"] for line in logged] == ["request_failed", "request"]
    assert logged[0]["log_level"] == "error"
    assert isinstance(logged[0]["exc_info"], KeyError)


async def test_a_store_that_is_away_is_said_to_be_and_when_to_come_back(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = OperationalError("SELECT 1", {}, Exception("connection refused"))
    monkeypatch.setattr(catalogue, "experiments", broken(away))
    reply = await api.get(PATH)
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "5"
    assert "the store cannot be reached now" in reply.json()["detail"]
    assert "connection refused" not in reply.text


async def test_a_request_has_one_line_at_info_only_if_it_failed_or_was_slow(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = (await submit(api))["id"]
    monkeypatch.setattr(observed, "SLOW_S", math.inf)
    with capture_logs() as logged:
        await api.get(f"/api/v1/sweeps/{sweep}/progress")
        monkeypatch.setattr(observed, "SLOW_S", 0.0)
        await api.get(f"/api/v1/sweeps/{sweep}/progress?colour=red")
    fast, slow = logged
    ms = fast.pop("ms")
    assert fast == {
        "event": "request",
        "log_level": "debug",
        "method": "GET",
        "route": "/api/v1/sweeps/{sweep}/progress",
        "status": 200,
        "sweep": sweep,
    }
    assert ms > 0
    assert (slow["log_level"], slow["status"]) == ("info", 422)

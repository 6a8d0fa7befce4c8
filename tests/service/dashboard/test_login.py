"""Logging in to the dashboard with a key: sessions, cookies, and what other sites cannot do."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select, update

from service.access.key import id_of
from service.access.keyring import MOST_WRONG, WRONG_S
from service.access.login import MOST_FAILED, WITHIN_S, Attempts, hash_of, local_path
from service.store import activity, keys
from service.store.tables import sessions
from tests.service.api.keyed import BASE, Keyed
from tests.service.samples import spec

pytestmark = pytest.mark.anyio

SWEEPS = "/api/v1/sweeps"
ORIGIN = {"Origin": BASE}


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio alone."""
    return "asyncio"


@pytest.fixture
def keyed(sqlite: Engine, tmp_path: Path) -> Keyed:
    """The application with keys on."""
    return Keyed(sqlite, tmp_path)


@pytest.fixture
async def browser(keyed: Keyed) -> AsyncIterator[httpx.AsyncClient]:
    """A client that keeps cookies and asks for pages."""
    async with keyed.client(headers={"Accept": "text/html"}) as found:
        yield found


async def log_in(browser: httpx.AsyncClient, key: str, **form: str) -> httpx.Response:
    return await browser.post("/login", data={"key": key} | form, headers=ORIGIN)


async def test_a_page_without_a_log_in_asks_for_one_and_leads_on(
    keyed: Keyed, browser: httpx.AsyncClient
) -> None:
    key = keyed.key("sue")
    refused = await browser.get("/?owner=me")
    assert refused.status_code == 401
    assert 'name="next" type="hidden" value="/?owner=me"' in refused.text
    assert 'role="alert"' not in refused.text
    opened = await log_in(browser, f" {key}\n", next="/?owner=me")
    assert (opened.status_code, opened.headers["location"]) == (303, "/?owner=me")
    cookie = opened.headers["set-cookie"]
    assert cookie.startswith("seedbed_session=")
    assert "HttpOnly; SameSite=Lax" in cookie
    page = await browser.get("/?owner=me")
    assert page.status_code == 200
    assert "sue" in page.text
    assert "Log out" in page.text
    assert (await browser.get(SWEEPS)).status_code == 200
    assert (await browser.get("/fragments/sweeps")).status_code == 200
    assert (await browser.get("/api/v1/keys")).status_code == 403


async def test_over_https_the_cookie_is_this_hosts_and_of_tls_alone(
    sqlite: Engine, tmp_path: Path
) -> None:
    """Behind a proxy that is trusted; of others nobody believes that it was https."""
    trusting = Keyed(sqlite, tmp_path, {"trusted_proxies": "127.0.0.0/8"})
    plain = Keyed(sqlite, tmp_path)
    tls = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "9.9.9.9, 192.0.2.7"}
    key = trusting.key("sue")
    async with trusting.client(headers=tls) as proxied, plain.client(headers=tls) as direct:
        cookie = (await log_in(proxied, key)).headers["set-cookie"]
        assert cookie.startswith("__Host-seedbed_session=")
        assert cookie.endswith("; Secure")
        assert "Path=/;" in cookie
        assert "Domain" not in cookie
        session = cookie.partition(";")[0]
        reply = await proxied.get("/", headers={"Cookie": session})
        assert reply.status_code == 200
        assert reply.headers["strict-transport-security"] == "max-age=31536000"
        planted = session.removeprefix("__Host-")  # as a page over http could set it
        assert (await proxied.get("/", headers={"Cookie": planted})).status_code == 401
        insecure = await log_in(direct, key)
        assert insecure.headers["set-cookie"].startswith("seedbed_session=")
        assert "strict-transport-security" not in insecure.headers
    with trusting.writing() as session_:
        later, first = activity.page(session_, before=None, limit=9)
    assert (first["address"], later["address"]) == ("192.0.2.7", "127.0.0.1")


async def test_a_session_is_kept_as_a_hash_and_ends_with_log_out(
    keyed: Keyed, browser: httpx.AsyncClient
) -> None:
    await log_in(browser, keyed.key("sue"))
    held = browser.cookies["seedbed_session"]
    with keyed.writing() as session:
        [row] = session.execute(select(sessions))
    assert held not in repr(row)
    assert row.id == hash_of(held)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    left = await browser.post("/logout", content=b"", headers=ORIGIN | form)
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in left.headers["set-cookie"]
    again = await browser.get("/", headers={"Cookie": f"seedbed_session={held}"})
    assert again.status_code == 401
    assert "The log-in has ended" in again.text


@pytest.mark.parametrize("end", ["revoked", "expired", "over"])
async def test_a_session_ends_with_its_key_and_by_itself(
    keyed: Keyed, browser: httpx.AsyncClient, end: str
) -> None:
    ends = {"expires_at": datetime.now(UTC) + timedelta(hours=1)} if end == "expired" else {}
    key = keyed.key("sue", **ends)
    await log_in(browser, key)
    assert (await browser.get("/")).status_code == 200
    past = datetime.now(UTC) - timedelta(seconds=1)
    with keyed.writing.begin() as session:
        if end == "revoked":
            keys.revoke(session, str(id_of(key)), now=past)
        elif end == "expired":
            session.connection().exec_driver_sql("UPDATE api_keys SET expires_at = created_at")
        else:
            started = {"created_at": past - timedelta(hours=1), "expires_at": past}
            session.execute(update(sessions).values(started))
    assert (await browser.get("/")).status_code == 401


async def test_what_changes_something_by_cookie_says_where_it_is_from(
    keyed: Keyed, browser: httpx.AsyncClient
) -> None:
    """Other sites' pages cannot have the Origin, nor forms the type; a key needs neither."""
    await log_in(browser, keyed.key("sue"))
    assert (await browser.post(SWEEPS, json=spec())).status_code == 403
    foreign = {"Origin": "http://evil.example"}
    assert (await browser.post(SWEEPS, json=spec(), headers=foreign)).status_code == 403
    form = await browser.post(SWEEPS, data={"name": "x"}, headers=ORIGIN)
    assert form.status_code == 415
    made = await browser.post(SWEEPS, json=spec(), headers=ORIGIN)
    assert made.status_code == 201
    path = f"{SWEEPS}/{made.json()['id']}"
    assert (await browser.delete(path)).status_code == 403
    with keyed.writing() as session:
        acts = [e["action"] for e in activity.page(session, before=None, limit=9)]
    assert acts == ["sweep_created", "logged_in"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/login", {}, 403),
        ("/login", {"Origin": "null"}, 403),
        ("/login", {"Origin": "http://evil.example"}, 403),
        ("/login", ORIGIN | {"Content-Type": "text/plain"}, 415),
        ("/login", ORIGIN | {"Content-Type": "application/json"}, 415),
        ("/logout", {}, 403),
    ],
)
async def test_no_other_site_logs_anybody_in_or_out(
    keyed: Keyed, browser: httpx.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    key = keyed.key("sue")
    await log_in(browser, key)
    sent = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    reply = await browser.post(path, content=f"key={key}", headers=sent)
    assert reply.status_code == status
    assert "set-cookie" not in reply.headers
    assert (await browser.get("/")).status_code == 200


async def test_attempts_that_fail_are_counted_by_address(
    keyed: Keyed, browser: httpx.AsyncClient
) -> None:
    key = keyed.key("sue")
    for _ in range(MOST_FAILED):
        reply = await log_in(browser, "sb_guess")
        assert reply.status_code == 401
        assert "no API key" in reply.text
        assert "sb_guess" not in reply.text
    refused = await log_in(browser, key)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= WITHIN_S + 1
    async with keyed.client(key) as api:
        assert (await api.get(SWEEPS)).status_code == 200


async def test_a_key_that_is_not_looked_at_is_no_failed_attempt(
    keyed: Keyed, browser: httpx.AsyncClient
) -> None:
    """Others of the address sent wrong secrets of it."""
    key, another = keyed.key("sue"), keyed.key("sam")
    async with keyed.client(key[:-1] + ("0" if key[-1] != "0" else "1")) as guesses:
        for _ in range(MOST_WRONG):
            assert (await guesses.get(SWEEPS)).status_code == 401
    for _ in range(MOST_FAILED):
        refused = await log_in(browser, key, next="/docs")
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= WRONG_S
        assert "wrong secrets of API key" in refused.text
        assert 'value="/docs"' in refused.text
    assert (await log_in(browser, another)).status_code == 303


def test_an_ipv4_client_of_a_socket_of_both_kinds_is_itself() -> None:
    attempts = Attempts(lambda: 0.0, most=1)
    attempts.failed("::ffff:192.0.2.1")
    assert attempts.wait_s("::ffff:192.0.2.2") == 0
    assert attempts.wait_s("192.0.2.1") == WITHIN_S


def test_an_address_may_try_again_after_a_while_and_a_whole_ipv6_network_is_one() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for i in range(MOST_FAILED):
        assert attempts.wait_s("2001:db8::1") == 0
        attempts.failed(f"2001:db8::{i:x}")
    assert attempts.wait_s("2001:db8::ffff") == WITHIN_S
    assert attempts.wait_s("2001:db8:0:1::1") == attempts.wait_s("192.0.2.1") == 0
    now[0] += WITHIN_S
    assert attempts.wait_s("2001:db8::1") == 0


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "evil", ""],
)
async def test_a_log_in_leads_to_no_other_site(
    keyed: Keyed, browser: httpx.AsyncClient, wanted: str
) -> None:
    assert local_path(wanted) == "/"
    opened = await log_in(browser, keyed.key("sue"), next=wanted)
    assert opened.headers["location"] == "/"
    page = await browser.get("/login", params={"next": wanted})
    assert 'value="/"' in page.text


async def test_where_nobody_is_asked_there_is_no_log_in(sqlite: Engine, tmp_path: Path) -> None:
    """And a cookie that another service on this host set is not taken for credentials."""
    options: dict[str, Any] = {"auth": "none"}
    async with Keyed(sqlite, tmp_path, options).client() as api:
        found = await api.get("/login", params={"next": "/docs"})
        assert (found.status_code, found.headers["location"]) == (303, "/docs")
        assert (await log_in(api, "x")).headers["location"] == "/"
        page = await api.get("/", headers={"Cookie": "seedbed_session=abc"})
        assert page.status_code == 200
        assert "Log out" not in page.text

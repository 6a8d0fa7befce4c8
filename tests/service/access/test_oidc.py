"""Tokens of an issuer, a real one on loopback with real keys: what is good, and what is not."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine

from service.access import oidc
from service.access.oidc import AGAIN_S, BadTokenError, IssuerAwayError, Tokens
from service.access.principal import Scope
from service.api.crowd import ROOMS
from tests.service.access.issuer import AUDIENCE, Issuer, issuing
from tests.service.api.keyed import Keyed
from tests.service.samples import spec


@dataclass
class Stuck:
    """Whether an issuer hangs, that it was asked meanwhile, and what ends it."""

    asked: threading.Event
    over: threading.Event
    on: bool = False


SCOPES = {"seedbed:read": Scope.READ, "seedbed:submit": Scope.SUBMIT, "ml-admins": Scope.ADMIN}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no issuer that is away."""
    monkeypatch.setattr(oidc, "TIMEOUT_S", 60.0)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer that answers."""
    with issuing() as found:
        yield found


@pytest.fixture
def now() -> list[float]:
    """The time of the service's clock."""
    return [0.0]


@pytest.fixture
def tokens(issuer: Issuer, now: list[float]) -> Tokens:
    """What checks its tokens."""
    return Tokens(issuer.url, AUDIENCE, "scope", SCOPES, "sub", clock=lambda: now[0])


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_a_good_token_opens_and_the_issuer_is_asked_once(
    issuer: Issuer, tokens: Tokens, alg: str
) -> None:
    for _ in range(3):
        found = tokens.find(issuer.token(alg))
        assert (found.name, found.scopes) == ("ada", {Scope.READ, Scope.SUBMIT})
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


def test_groups_stand_for_scopes_and_others_for_none(issuer: Issuer) -> None:
    tokens = Tokens(issuer.url, AUDIENCE, "groups", SCOPES, "preferred_username")
    given: list[tuple[Any, int]] = [
        (["ml-admins", "x"], 3),
        (["x"], 0),
        (None, 0),
        ("ml-admins", 3),
        ({"ml-admins": 1}, 0),
        ([["ml-admins"], 7], 0),
    ]
    for groups, scopes in given:
        found = tokens.find(issuer.token(groups=groups, preferred_username="ada l"))
        assert (found.name, len(found.scopes)) == ("ada l", scopes), groups


def test_a_token_for_ever_opens(issuer: Issuer, tokens: Tokens) -> None:
    assert tokens.find(issuer.token(exp=10**400)).name == "ada"


PAST, COMING = time.time() - 3600, time.time() + 3600
BAD: list[tuple[dict[str, Any], str]] = [
    ({"exp": PAST}, "has expired"),
    ({"exp": None}, "exp"),
    ({"nbf": COMING}, "not yet valid"),
    ({"aud": "other"}, "not for this service"),
    ({"aud": None}, "aud"),
    ({"iss": "https://other.example"}, "not for this service"),
    ({"iss": None}, "iss"),
    ({"sub": None}, "sub"),
    ({"sub": "me"}, "is no name"),
    ({"sub": "a\nb"}, "is no name"),
    ({"kid": "unknown"}, "no key 'unknown'"),
    ({"kid": "curve"}, "not good"),
]


@pytest.mark.parametrize(("changes", "words"), BAD)
def test_a_token_that_is_not_right_opens_nothing(
    issuer: Issuer, tokens: Tokens, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadTokenError, match=words):
        tokens.find(issuer.token(**changes))


def forged(issuer: Issuer, alg: str, secret: bytes | None) -> str:
    """A token that nobody signed, or that was signed with what everybody has."""

    def part(content: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")

    head = part({"alg": alg, "typ": "JWT", "kid": "one"}) + b"." + part(issuer.claims())
    signed = b"" if secret is None else hmac.digest(secret, head, hashlib.sha256)
    return (head + b"." + base64.urlsafe_b64encode(signed).rstrip(b"=")).decode()


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "HS512", "RS512", "PS256"])
def test_no_other_algorithm_is_taken(issuer: Issuer, tokens: Tokens, alg: str) -> None:
    """Neither none, nor the public key as the secret of an HMAC."""
    pem = issuer.public().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (None, pem, b""):
        with pytest.raises(BadTokenError, match="RS256 and ES256 only"):
            tokens.find(forged(issuer, alg, secret))
    assert issuer.asked == []


def test_a_token_of_another_key_or_changed_on_the_way_opens_nothing(
    issuer: Issuer, tokens: Tokens
) -> None:
    good = issuer.token()
    head, claims, signature = good.split(".")
    with issuing() as other:
        stolen = other.token(iss=issuer.url)
    for token in (stolen, f"{head}.{claims[:-2]}AA.{signature}", f"{head}.{claims}.", "a.b.c"):
        with pytest.raises(BadTokenError):
            tokens.find(token)
    with pytest.raises(BadTokenError, match="8192 characters"):
        tokens.find("a." * 5000)
    with pytest.raises(BadTokenError, match="kid"):
        tokens.find(good.replace(head, base64.urlsafe_b64encode(b'{"alg":"RS256"}').decode()))
    assert tokens.find(good).name == "ada"


def test_unknown_keys_ask_the_issuer_no_more_than_now_and_then(
    issuer: Issuer, tokens: Tokens
) -> None:
    for i in range(20):
        with pytest.raises(BadTokenError):
            tokens.find(issuer.token(kid=f"unknown{i}"))
    assert issuer.asked.count("/keys") == 1


def test_an_issuer_that_is_away_is_said_and_not_asked_at_once_again(now: list[float]) -> None:
    with issuing() as issuer:
        token = issuer.token()
    tokens = Tokens(issuer.url, AUDIENCE, "scope", SCOPES, "sub", clock=lambda: now[0])
    with pytest.raises(IssuerAwayError, match="does not answer"):
        tokens.find(token)
    with pytest.raises(IssuerAwayError, match="a moment ago"):
        tokens.find(token)
    now[0] += AGAIN_S
    with pytest.raises(IssuerAwayError, match="does not answer"):
        tokens.find(token)


def test_an_issuer_that_speaks_no_http_is_away(now: list[float]) -> None:
    with issuing() as issuer:
        token = issuer.token()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as caller:
                caller.recv(1)
                caller.sendall(b"who is there?\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        tokens = Tokens(url, AUDIENCE, "scope", SCOPES, "sub", clock=lambda: now[0])
        with pytest.raises(IssuerAwayError, match="does not answer"):
            tokens.find(token)
        answering.join()


def known(tokens: Tokens, issuer: Issuer) -> str:
    """A token whose key is known; the next unknown one has the issuer asked again."""
    token = issuer.token()
    tokens.find(token)
    assert tokens._keys is not None
    tokens._keys.cooldown_duration = 0.0
    return token


def test_an_unknown_key_locks_nobody_out_while_the_issuer_is_away(now: list[float]) -> None:
    """Anybody can make up a token whose key nobody knows."""
    with issuing() as issuer:
        tokens = Tokens(issuer.url, AUDIENCE, "scope", SCOPES, "sub", clock=lambda: now[0])
        good, unknown = known(tokens, issuer), issuer.token(kid="unknown")
    with pytest.raises(IssuerAwayError, match="does not answer"):
        tokens.find(unknown)
    assert tokens.find(good).name == "ada"
    with pytest.raises(IssuerAwayError, match="a moment ago"):
        tokens.find(unknown)


@pytest.fixture
def stuck(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stuck]:
    """What makes the issuer take requests for keys and not answer them."""
    found = Stuck(threading.Event(), threading.Event())
    answer = issuer.answer

    def hanging(path: str) -> dict[str, Any] | None:
        if path == "/keys" and found.on:
            found.asked.set()
            found.over.wait(90)
        return answer(path)

    monkeypatch.setattr(issuer, "answer", hanging)
    yield found
    found.over.set()


@pytest.mark.anyio
async def test_known_keys_wait_for_nobody_who_asks_an_issuer_that_hangs(
    sqlite: Engine, tmp_path: Path, issuer: Issuer, stuck: Stuck
) -> None:
    """However many tokens of unknown keys are sent: they hold no room, no thread and no lock."""
    keyed = Keyed(sqlite, tmp_path, {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE})
    good = known(keyed.app.state.seedbed.door._tokens, issuer)
    stuck.on = True

    async def unknown(n: int) -> None:
        async with keyed.client(issuer.token(kid=f"unknown{n}")) as api:
            assert (await api.get("/api/v1/sweeps")).status_code in (401, 503)

    async with anyio.create_task_group() as group:
        for n in range(2 * ROOMS):
            group.start_soon(unknown, n)
        assert await anyio.to_thread.run_sync(stuck.asked.wait, 30)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(30):
            for opens in (good, keyed.key("sue")):
                async with keyed.client(opens) as api:
                    assert (await api.get("/api/v1/sweeps")).status_code == 200
        stuck.over.set()


@pytest.mark.parametrize(
    "discovery", [{"issuer": "https://other.example"}, {"jwks_uri": "file:///etc/passwd"}]
)
def test_a_description_of_somebody_else_is_not_believed(
    issuer: Issuer, tokens: Tokens, discovery: dict[str, str]
) -> None:
    issuer.discovery = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"} | discovery
    with pytest.raises(IssuerAwayError):
        tokens.find(issuer.token())


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio alone."""
    return "asyncio"


@pytest.mark.anyio
async def test_a_service_takes_tokens_beside_keys(sqlite: Engine, tmp_path: Path) -> None:
    """401 of bad ones, 403 beyond their scope, 503 while the issuer is away; keys go on."""
    with issuing() as issuer:
        options = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE}
        keyed = Keyed(sqlite, tmp_path, options)
        away = Keyed(sqlite, tmp_path, options)
        sweeps = "/api/v1/sweeps"
        async with keyed.client(issuer.token()) as api:
            made = await api.post(sweeps, json=spec())
            assert made.json()["owner"] == "ada"
            refused = await api.get("/api/v1/keys")
            assert refused.status_code == 403
        async with keyed.client(issuer.token(scope="openid")) as api:
            assert (await api.get(sweeps)).status_code == 403
        async with keyed.client(issuer.token(exp=PAST)) as api:
            late = await api.get(sweeps)
            assert late.status_code == 401
            assert "has expired" in late.json()["detail"]
            assert 'error="invalid_token"' in late.headers["www-authenticate"]
        token = issuer.token()
    async with away.client(token) as api:
        reply = await api.get(sweeps)
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "10"
    async with away.client(away.key("sue")) as api:
        assert (await api.get(sweeps)).status_code == 200
    async with keyed.client(token) as api:  # whose keys are known already
        assert (await api.get(sweeps)).status_code == 200

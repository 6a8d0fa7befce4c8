"""No secret is in a log or a reply, whatever goes wrong."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import structlog
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from service.api import sweeps
from service.observe.logs import configure
from service.observe.redaction import redact, secrets_of
from tests.service.api.keyed import BASE, Keyed
from tests.service.observe.test_logs import out
from tests.service.samples import spec

__all__ = ["out"]

KEY = "sb_" + "0123456789abcdef" + "_" + "f00d" * 12
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
WRITTEN = [
    (f"key {KEY} is bad", "key sb_0123456789abcdef_*** is bad"),
    (f"Authorization: Bearer {JWT}", "Authorization: Bearer ***"),
    (f"token {JWT}, again", "token ***, again"),
    ("Authorization: Basic dTpodW50ZXIy", "Authorization: Basic ***"),
    ("postgresql+psycopg://u:hunter2@db/x", "postgresql+psycopg://u:***@db/x"),
    ("redis://:hun/ter@2@cache:6379/0", "redis://:***@cache:6379/0"),
    ("host=db user=u password=hunter2 dbname=x", "host=db user=u password=*** dbname=x"),
    ('{"password": "hunter2", "a": 1}', '{"password": "***", "a": 1}'),
    (r'{"event": "{\"secret\": \"hunter2\"}"}', r'{"event": "{\"secret\": \"***\"}"}'),
    ("aws_secret_access_key='hunter2'", "aws_secret_access_key='***'"),
    ("Cookie: seedbed_session=abc-DEF_1; a=b", "Cookie: seedbed_session=***; a=b"),
    ("__Host-seedbed_session=abc; Path=/", "__Host-seedbed_session=***; Path=/"),
]


@pytest.mark.parametrize(("text", "written"), WRITTEN)
def test_what_looks_like_a_secret_is_hidden(text: str, written: str) -> None:
    assert redact(text) == written


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8321/api/v1/sweeps",
        "key_refused key=0123456789abcdef",
        "sweep 1a21ff8fa2cfc052d1b7ecf paused; the token of an attempt is its number",
        "send `Authorization: Bearer KEY`",
        "2026-11-24T13:05:10 GET /api/v1/keys 200",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_the_processs_own_secrets_are_known_by_name() -> None:
    environment = {
        "RAY_AUTH_TOKEN": "correct-horse",
        "SEEDBED_DATABASE_URL": "postgresql+psycopg://u:battery-staple@db/x",
        "AWS_SECRET_ACCESS_KEY": 'quo"ted-secret',
        "SEEDBED_PORT": "8321-8321",
        "SHORT_TOKEN": "abc",
    }
    found = secrets_of(environment)
    assert {"correct-horse", "battery-staple", 'quo"ted-secret', 'quo\\"ted-secret'} == {*found}
    assert redact("it said correct-horse", found) == "it said ***"


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio alone."""
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("style", ["json", "console"])
async def test_a_service_writes_no_secret_whatever_goes_wrong(
    sqlite: Engine,
    tmp_path: Path,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    style: str,
) -> None:
    """Log-ins, bad keys, refusals, and tracebacks that quote keys and URLs."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "ray-token-of-this-test")
    configure(style, "debug", to=out)  # type: ignore[arg-type]
    keyed = Keyed(sqlite, tmp_path)
    sue, root = keyed.key("sue"), keyed.key("root", "admin")
    wrong, gone = sue[:-4] + "0000", keyed.revoked("rex")
    replies: list[httpx.Response] = []
    form, origin = {"key": sue}, {"Origin": BASE}
    async with keyed.client() as api:
        opened = await api.post("/login", data=form, headers=origin)
        cookie = api.cookies["seedbed_session"]
        assert opened.status_code == 303
        replies.append(await api.get("/"))
        replies.append(await api.post("/login", data={"key": wrong}, headers=origin))
    for key in (wrong, gone, JWT, "hunter2hunter2"):
        async with keyed.client(key) as api:
            replies += [await api.get("/api/v1/sweeps"), await api.get("/")]
    async with keyed.client(root) as api:
        body = {"name": "n", "owner": "o", "scope": "read"}
        made = (await api.post("/api/v1/keys", json=body)).json()["key"]
        replies += [await api.get("/api/v1/keys"), await api.get("/api/v1/activity")]

        def fault(*_: object, **__: object) -> None:
            log = structlog.get_logger()
            log.warning("odd", url="redis://:hunter2hunter2@cache", header=f"Bearer {JWT}")
            logging.getLogger("sqlalchemy").warning("url postgresql://u:hunter2hunter2@db/x")
            raise RuntimeError(f"{sue} at postgresql://u:hunter2hunter2@db, ray-token-of-this-test")

        monkeypatch.setattr(sweeps.sweeps, "create", fault)
        replies.append(await api.post("/api/v1/sweeps", json=spec()))
        assert replies[-1].status_code == 500
    written = out.getvalue()
    assert written.count("request_failed") == 1
    assert "RuntimeError" in written
    assert "log_in_refused" in written
    if style == "json":
        for line in written.splitlines():
            json.loads(line)
    secrets = [k.rpartition("_")[2] for k in (sue, root, wrong, gone, made)]
    secrets += [cookie, JWT, "hunter2hunter2", "ray-token-of-this-test"]
    told = written + "".join(r.text + str(dict(r.headers)) for r in replies)
    for secret in secrets:
        assert secret not in told, secret


@pytest.mark.parametrize("url", ["sqlite:////nope/nope.db", "http://u:hunter2hunter2@db:x/y"])
def test_an_error_of_sqlalchemy_shows_no_password(url: str) -> None:
    with pytest.raises((SQLAlchemyError, ValueError)) as caught:
        create_engine(url).connect()
    assert "hunter2hunter2" not in redact(str(caught.value))


def test_a_command_on_a_store_that_is_away_says_no_password(tmp_path: Path) -> None:
    """In a process of its own, with its whole output read."""
    url = "postgresql+psycopg://u:hunter2hunter2@127.0.0.1:1/x?connect_timeout=2"
    for words in (["keys", "list"], ["api", "--port", "0"]):
        said = subprocess.run(
            [sys.executable, "-m", "service.cli.app", *words],
            env={"PATH": "/usr/bin", "SEEDBED_DATABASE_URL": url, "PYTHONPATH": ":".join(sys.path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 1
        assert "hunter2hunter2" not in said.stdout + said.stderr
        assert "127.0.0.1" in said.stderr

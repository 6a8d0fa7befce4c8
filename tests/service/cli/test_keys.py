"""`seedbed keys` on the store itself and through a service that asks for keys."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from service.access.key import id_of
from service.access.opening import NoAdminError, judge_opening
from service.cli.app import app
from service.client import Client, ServiceError
from service.configuration import Configuration
from service.store.engine import open_engine, reading_factory
from tests.service.samples import moment, spec
from tests.service.serving import serving

runner = CliRunner()


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The store is in the test's folder."""
    for name in ("SEEDBED_URL", "SEEDBED_KEY", "SEEDBED_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEEDBED_STATE_FOLDER", str(tmp_path / "state"))


def seedbed(*words: str) -> Result:
    return runner.invoke(app, ["keys", *words])


def create(*words: str) -> str:
    """A key's text."""
    said = seedbed("create", "--name", "n", *words)
    assert said.exit_code == 0, said.stderr
    [key] = said.stdout.split()
    assert id_of(key)
    assert "not shown again" in " ".join(said.stderr.split())
    return key


def test_a_first_key_is_made_on_a_store_that_is_not_there_yet(tmp_path: Path) -> None:
    """Listed without its secret, and revoked."""
    outside = Configuration(auth="keys", host="lab7", state_folder=tmp_path / "state")
    key = create("--owner", "ada", "--scope", "admin", "--expires", "90d")
    engine = open_engine(outside.database_url)
    judge_opening(outside, reading_factory(engine), moment())
    listed = seedbed("list").stdout
    assert "open until" in listed
    assert str(id_of(key)) in listed
    assert key not in listed
    assert "by its id" in seedbed("revoke", key).stderr
    assert seedbed("revoke", str(id_of(key))).exit_code == 0
    assert json.loads(seedbed("list", "--json").stdout)[0]["revoked_at"] is not None
    assert "there is no API key 'nope'" in seedbed("revoke", "nope").stderr
    with pytest.raises(NoAdminError, match="seedbed keys create"):
        judge_opening(outside, reading_factory(engine), moment())
    engine.dispose()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--owner", "me", "--scope", "read"), "whoever asks"),
        (("--owner", " x", "--scope", "read"), "no space at either end"),
        (("--owner", "x", "--scope", "root"), "'root' is not one of"),
        (("--owner", "x", "--scope", "read", "--expires", "soon"), "write 2027-01-31, or 90d"),
        (("--owner", "x", "--scope", "read", "--expires", "2020-01-01"), "would have expired"),
    ],
)
def test_a_key_of_no_use_is_refused(words: tuple[str, ...], said: str) -> None:
    found = seedbed("create", "--name", "n", *words)
    assert found.exit_code == 2
    assert said in " ".join(found.stderr.replace("│", " ").split())
    assert "Traceback" not in found.output


def test_a_shared_store_of_an_older_schema_is_not_upgraded_in_passing(
    monkeypatch: pytest.MonkeyPatch, postgres: str
) -> None:
    monkeypatch.setenv("SEEDBED_DATABASE_URL", postgres)
    found = seedbed("list")
    assert found.exit_code == 1
    assert "seedbed db upgrade" in found.stderr


def test_bootstrap_makes_the_given_key_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "draw one with python3 -c" in seedbed("bootstrap").stderr
    key = "sb_" + "a" * 16 + "_" + "b" * 48
    monkeypatch.setenv("SEEDBED_BOOTSTRAP_KEY", key)
    assert "is made, scope admin" in seedbed("bootstrap").stdout
    assert "is there already" in seedbed("bootstrap").stdout
    seedbed("revoke", "a" * 16)
    assert "is revoked, and stays so" in seedbed("bootstrap").stdout
    monkeypatch.setenv("SEEDBED_BOOTSTRAP_KEY", key[:-1] + "c")
    refused = seedbed("bootstrap")
    assert refused.exit_code == 1
    assert "another secret" in refused.stderr
    assert "bbbb" not in refused.output


def test_through_a_service_the_admins_key_is_asked_for(
    sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the store may be worked on while the service runs: its new key opens at once."""
    monkeypatch.setenv("SEEDBED_DATABASE_URL", str(sqlite.url))
    admin = create("--owner", "root", "--scope", "admin")
    with serving(sqlite, tmp_path, auth="keys") as served:
        there = ("--url", served.url)
        assert "needs an API key" in seedbed("list", *there).stderr
        monkeypatch.setenv("SEEDBED_KEY", admin)
        sue = create("--owner", "sue", "--scope", "submit", "--expires", "2037-01-31", *there)
        assert "sue" in seedbed("list", *there).stdout
        for words in (there, ()):
            acts = json.loads(seedbed("activity", "--json", *words).stdout)
            done = [("root", "key_made"), ("", "key_made")]  # through the service, and before it
            assert [(e["principal"], e["action"]) for e in acts] == done
        assert "key_made" in seedbed("activity", "--owner", "root", *there).stdout
        later = create("--owner", "rita", "--scope", "read")
        with Client(served.url, key=sue) as client, Client(served.url, key=later) as reader:
            sweep = client.submit(spec())["id"]
            assert [s["id"] for s in client.sweeps(owner="me")] == [sweep]
            assert list(reader.sweeps(owner="me")) == []
            with pytest.raises(ServiceError, match="needs scope submit; rita has read"):
                reader.submit(spec())
        monkeypatch.setenv("SEEDBED_KEY", sue)
        assert "needs scope admin" in seedbed("revoke", str(id_of(later)), *there).stderr


def test_a_key_that_no_header_can_carry_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="check SEEDBED_KEY") as caught:
        Client(key="sb_x\nX-Other: secret")
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("SEEDBED_KEY", " sb_env ")
    with Client() as client, Client(key="") as none:
        assert client._wire.headers["authorization"] == "Bearer sb_env"
        assert "authorization" not in none._wire.headers
        assert "sb_env" not in repr(client._wire.headers)

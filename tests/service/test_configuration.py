"""The service's options: their defaults, and what is refused with its reason."""

import os
import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.configuration import Configuration


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No option comes from the environment of the tests."""
    for name in list(os.environ):
        if name.startswith("SEEDBED_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_without_options_everything_is_local(tmp_path: Path) -> None:
    """Loopback, and SQLite in a folder here."""
    found = Configuration()
    assert (found.host, found.port, found.max_attempts) == ("127.0.0.1", 8321, 3)
    assert found.database_url == f"sqlite:///{tmp_path / '.seedbed' / 'seedbed.db'}"
    assert found.workers >= 1
    assert (found.device, found.asked_workers) == ("cpu", None)


def test_options_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty ones count as absent; the client's is not the service's."""
    monkeypatch.setenv("SEEDBED_PORT", "9000")
    monkeypatch.setenv("SEEDBED_WORKERS", "3")
    monkeypatch.setenv("SEEDBED_HOST", "")
    monkeypatch.setenv("SEEDBED_URL", "http://127.0.0.1:9000")
    found = Configuration()
    assert (found.port, found.workers, found.host) == (9000, 3, "127.0.0.1")
    assert found.asked_workers == 3


def test_a_cluster_has_room_for_more_workers_and_keeps_none_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This machine keeps all that it has."""
    assert (Configuration().least, Configuration(workers=3).least) == (os.cpu_count(), 3)
    monkeypatch.setenv("SEEDBED_RAY_ADDRESS", "ray-head:6379")
    found = Configuration()
    assert (found.workers, found.least) == (16, 0)
    assert Configuration(workers=4, least_workers=2).least == 2


REFUSED = [
    ("OIDC_AUDIENCE", "seedbed", "without SEEDBED_OIDC_ISSUER"),
    ("OIDC_ISSUER", "http://issuer.example", "https:// address"),
    ("OIDC_ISSUER", "https://issuer.example", "needs SEEDBED_OIDC_AUDIENCE"),
    ("TRUSTED_PROXIES", "10.0.0.0/8, proxy", "holds addresses and networks"),
    ("AUTH", "key", "use one of the two"),
    ("ALLOWED_HOSTS", "https://seedbed.example.org", "without scheme, port or wildcard"),
    ("ALLOWED_HOSTS", "*.example.org", "without scheme, port or wildcard"),
    ("KEYS", "x", "no option SEEDBED_KEYS"),
    ("RAY_ADDRESS", "ray-head", "should match pattern"),
    ("RAY_ADDRESS", "ray://ray-head:10001", "should match pattern"),
    ("RAY_NODE", "--node-manager-port=7000", "without SEEDBED_RAY_ADDRESS"),
    ("LEAST_WORKERS", "1024", "more than SEEDBED_WORKERS"),
    ("DRAIN_S", "-1", "greater than or equal to 0"),
    ("IDLE_S", "inf", "finite number"),
    ("HOST", "0.0.0.0", "SSH tunnel"),  # noqa: S104 - it is refused
    ("HOST", "192.168.0.7", "loopback only"),
    ("HOST", "example.com", "loopback only"),
    ("REDIS_URL", "127.0.0.1:6379", "no scheme that is known"),
    ("STREAMS", "-1", "greater than or equal to 0"),
    ("DATABASE_URL", "mysql://127.0.0.1/x", "'mysql'"),
    ("DATABASE_URL", "postgresql://127.0.0.1/x", "postgresql+psycopg://"),
    ("PORT", "70000", "65535"),
    ("WORKERS", "0", "greater than or equal to 1"),
    ("SLICE_S", "nan", "finite number"),
    ("MAX_ATTEMPTS", "0", "greater than or equal to 1"),
    ("WORKRES", "3", "did you mean SEEDBED_WORKERS?"),
    ("DEVICE", "gpu", "trials train on cpu or cuda"),
    ("DEVICE", "cuda:0", "CUDA_VISIBLE_DEVICES"),
    ("DATABASE_URL", "sqlite:///:memory:", "outlives the service"),
    ("DATABASE_URL", "sqlite:///", "outlives the service"),
    ("API_KEY", "x", "no option SEEDBED_API_KEY"),
]


@pytest.mark.parametrize(("name", "value", "words"), REFUSED)
def test_an_option_that_breaks_its_rule_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    """With the reason and what to do."""
    monkeypatch.setenv(f"SEEDBED_{name}", value)
    with pytest.raises(ValidationError) as caught:
        Configuration()
    assert words in str(caught.value)


def test_another_address_than_loopback_needs_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the service answers to its own name and to those that are allowed."""
    monkeypatch.setenv("SEEDBED_AUTH", "keys")
    monkeypatch.setenv("SEEDBED_HOST", "0.0.0.0")  # noqa: S104 - that is what is tested
    monkeypatch.setenv("SEEDBED_ALLOWED_HOSTS", "Seedbed.example.org, api,")
    assert Configuration().names == ("seedbed.example.org", "api")
    assert Configuration(host="lab7.example.org").names[-1] == "lab7.example.org"


def test_values_of_an_issuers_claim_stand_for_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written value=scope; one that is not is refused."""
    issuer = {"auth": "keys", "oidc_issuer": "https://issuer.example", "oidc_audience": "seedbed"}
    monkeypatch.setenv("SEEDBED_OIDC_SCOPES", "ml/team=submit, a=b=admin")
    found = Configuration(**issuer).scopes_of_claims  # type: ignore[arg-type]
    assert {k: v.value for k, v in found.items()} == {"ml/team": "submit", "a=b": "admin"}
    monkeypatch.setenv("SEEDBED_OIDC_SCOPES", "ml-team=root")
    with pytest.raises(ValidationError, match="written value=scope"):
        Configuration(**issuer)  # type: ignore[arg-type]


def test_an_error_never_shows_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even that of an option that was right."""
    monkeypatch.setenv("SEEDBED_DATABASE_URL", "postgresql+psycopg://u:hunter2@127.0.0.1/x")
    monkeypatch.setenv("SEEDBED_HOST", "0.0.0.0")  # noqa: S104 - it is refused
    with pytest.raises(ValidationError) as caught:
        Configuration()
    assert "hunter2" not in str(caught.value)


def test_an_option_given_in_code_must_exist() -> None:
    """As in the environment."""
    wrong: dict[str, Any] = {"work": 3}
    with pytest.raises(ValidationError, match="work"):
        Configuration(**wrong)


def test_options_do_not_change() -> None:
    """They are read once."""
    with pytest.raises(ValidationError, match="frozen"):
        Configuration().port = 1  # type: ignore[misc]


def test_the_password_of_redis_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_REDIS_URL", "redis://:s3cret@cache:6379/0")
    found = Configuration()
    assert "s3cret" not in repr(found) + str(found.model_dump())
    monkeypatch.setenv("SEEDBED_REDIS_URL", "redis://:s3cret@cache:6379/first")
    with pytest.raises(ValueError, match="no number") as refused:
        Configuration()
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))

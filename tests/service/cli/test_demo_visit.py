"""`seedbed demo --url`: the demo's sweep on a service that is up."""

import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.cli.own_key import own_key
from tests.service.serving import Served

KEY = "sb_0123456789abcdef_" + "0" * 48
runner = CliRunner()


def test_the_sweep_runs_there_and_its_report_is_printed(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # there is no .env
    ended = threading.Event()

    def train() -> None:
        while not ended.is_set():
            served.train_all()
            ended.wait(0.1)

    trainer = threading.Thread(target=train)
    trainer.start()
    try:
        said = runner.invoke(app, ["demo", "--url", served.url, "--seeds", "3"])
    finally:
        ended.set()
        trainer.join()
    assert said.exit_code == 0, said.output
    assert "6 of 6 trials ended" in said.output
    assert "noisy against plain on 3 pairs" in " ".join(said.output.split())
    assert f"Dashboard: {served.url}/sweeps/" in said.output


def test_it_keeps_no_service_that_is_not_its_own() -> None:
    said = runner.invoke(app, ["demo", "--url", "http://127.0.0.1:1", "--keep"])
    assert said.exit_code == 2
    assert "leave it out" in said.output


def test_a_service_that_is_not_there_is_said_to_be_away() -> None:
    assert runner.invoke(app, ["demo", "--url", "http://127.0.0.1:1"]).exit_code == 1
    assert runner.invoke(app, ["demo", "--url", "nonsense"]).exit_code == 2


@pytest.mark.parametrize(
    ("url", "text", "key"),
    [
        ("http://127.0.0.1:8321", f"A=1\nSEEDBED_KEY={KEY}\n", KEY),
        ("http://localhost:8321", f"export SEEDBED_KEY='{KEY}'\n", KEY),
        ("http://[::1]:8321", f"SEEDBED_KEY=\nSEEDBED_KEY={KEY}\n", KEY),
        ("http://127.0.0.1:8321", "OTHER_SEEDBED_KEY=1\n", None),
        ("https://seedbed.example.org", f"SEEDBED_KEY={KEY}\n", None),
        ("http://127.0.0.1.example.org", f"SEEDBED_KEY={KEY}\n", None),
        ("nonsense", f"SEEDBED_KEY={KEY}\n", None),
    ],
)
def test_the_drawn_key_is_sent_to_this_machine_alone(
    url: str, text: str, key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEEDBED_KEY", raising=False)
    file = tmp_path / ".env"
    assert own_key(url, file) is None
    file.write_text(text)
    assert own_key(url, file) == key


def test_the_environments_key_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client reads that one itself."""
    monkeypatch.setenv("SEEDBED_KEY", KEY)
    (tmp_path / ".env").write_text("SEEDBED_KEY=sb_other\n")
    assert own_key("http://127.0.0.1:8321", tmp_path / ".env") is None

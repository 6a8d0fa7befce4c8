"""`seedbed bench` hands its options to the checkout's bench, or says that there is none."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import bench
from service.cli.app import app

runner = CliRunner()


def test_options_are_the_benchs_own(capfd: pytest.CaptureFixture[str]) -> None:
    said = runner.invoke(app, ["bench", "--help"])
    assert said.exit_code == 0
    assert "--quick" in capfd.readouterr().out


def test_a_misspelt_option_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    said = runner.invoke(app, ["bench", "--quikc"])
    assert said.exit_code == 2
    assert "--quikc" in capfd.readouterr().err


def test_an_installed_package_says_where_the_bench_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.checkout(tmp_path / "service") is None
    monkeypatch.setattr(bench, "checkout", lambda _: None)
    said = runner.invoke(app, ["bench"])
    assert said.exit_code == 2
    assert "clone the repository, run `make bench` there" in said.stderr

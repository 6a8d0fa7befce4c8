"""Replays on real parts: trained in packs on Ray, run again alone through the command line."""

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from tests.e2e.conftest import Serve
from tests.e2e.test_shot_at import finish
from tests.service.samples import spec

pytestmark = [pytest.mark.service, pytest.mark.ray, pytest.mark.timeout(600)]


def test_trials_run_again_alone_are_equal_to_the_bit_and_a_planted_change_is_found(
    serve: Serve, tmp_path: Path
) -> None:
    running = serve(SEEDBED_PACK_LANES="6")
    client = running.client
    sweep = client.submit(spec(seeds=4))["id"]
    before = finish(running, sweep)
    places = [client.trial(t["id"]) for t in client.trials(sweep)]
    assert {p["worker"] for p in places} != {None}
    runner = CliRunner()
    said = runner.invoke(app, ["replay", sweep, "--sample", "0.25", "--url", running.url])
    assert (said.exit_code, said.stdout) == (0, "4 of 4 replays are equal to the bit\n")
    found = list(client.replays(sweep))
    assert all(r["fingerprint"] == client.trial(r["trial"])["fingerprint"] for r in found)
    one = found[0]["trial"]
    with sqlite3.connect(tmp_path / "state" / "seedbed.db", timeout=30) as store:
        store.execute("UPDATE outcomes SET fingerprint = 'planted' WHERE trial = ?", (one,))
    said = runner.invoke(app, ["replay", str(one), "--url", running.url])
    assert said.exit_code == 1
    assert f"trial {one} differs in its fingerprint: recorded by " in said.stdout
    assert [r["equal"] for r in client.trial(one)["replays"]] == [True, False]
    after = client.report(sweep)
    assert after["run_log"]["audit"]["replays"] == {"compared": 5, "different": 1}
    counts = {k: v for k, v in before["findings"].items() if k != "outcomes_hash"}
    assert counts == {k: v for k, v in after["findings"].items() if k != "outcomes_hash"}
    assert "no worker is" not in running.log.read_text()

"""`seedbed plan` against the real application: what a newcomer reads."""

import json
from pathlib import Path

import yaml
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.client import Client
from service.store import speeds
from service.store.engine import session_factory
from tests.service.samples import moment, plan, spec
from tests.service.serving import Served


def seedbed(served: Served, *words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["plan", *words, "--url", served.url], input=stdin)


def test_a_plan_says_what_it_runs_and_stores_nothing(served: Served) -> None:
    said = seedbed(served, "-", stdin=json.dumps(spec()))
    assert said.exit_code == 0, said.output
    assert "24 = 2 arms x 2 settings x 6 seeds" in said.stdout
    assert "1 pack of up to 64 lanes, of 1 structure" in said.stdout
    assert "not measured yet" in said.stdout
    assert "--baseline RATE --effect DIFFERENCE" in said.stdout
    with Client(served.url) as client:
        assert list(client.sweeps()) == []


def test_a_preset_says_what_its_makers_measured_and_that_it_is_theirs(served: Served) -> None:
    said = seedbed(served, "--preset", "deep-mlp-demo").stdout
    assert "lane-steps/s where this preset was made" in said
    assert "yours will differ" in said


def test_options_plan_the_power_and_replace_what_the_spec_expects(
    served: Served, tmp_path: Path
) -> None:
    path = tmp_path / "spec.yaml"
    body = spec(seeds=1000, cohort=50, power={"baseline": 0.5, "effect": 0.03})
    path.write_text(yaml.safe_dump(body, sort_keys=False))
    said = seedbed(served, str(path), "--baseline", "0.05")
    assert said.exit_code == 0, said.output
    assert "noisy against plain" in said.stdout
    assert "5 % -> 8 %, correlation within pairs 0 (possible: -0.07 to 0.78)" in said.stdout
    assert "2,000 pairs find it with a chance of 96.8 %" in said.stdout
    assert "1,468 pairs, that is seeds: 734 (2 settings x 734 pairs)" in said.stdout
    assert "comes to a decision in 77.4 % of all cases" in said.stdout
    assert "37 % of the pairs are saved" in said.stdout
    assert "declares no such stop" in said.stdout
    found = json.loads(seedbed(served, str(path), "--baseline", "0.05", "--json").stdout)
    assert found["power"]["pairs_wanted"] == 1468


def test_a_futility_rule_is_planned_where_the_spec_declares_it(served: Served) -> None:
    primary = {"arm": "noisy", "against": "plain", "effect": 0.2}
    body = spec(seeds=300, cohort=50, primary=primary, stop={"when": ["evidence", "futile"]})
    said = seedbed(served, "-", "--baseline", "0.3", stdin=json.dumps(body)).stdout
    assert "if in truth the arms do not differ" in said
    assert "declares no such stop" not in said


def test_measured_speeds_give_the_time(served: Served) -> None:
    """24 trials of 200 steps at 2 lane-steps a second on the one worker."""
    with session_factory(served.engine).begin() as session:
        speeds.add(session, plan().structures[0].pack, "here", 200, 100.0, moment())
    said = seedbed(served, "-", stdin=json.dumps(spec())).stdout
    assert "device time" in said
    assert "about 40 min on 1 worker" in said
    assert "measured here of these very structures" in said
    other = spec(fixed={"depth": 4, "width": 8})
    assert "have not trained here" in seedbed(served, "-", stdin=json.dumps(other)).stdout


def test_wrong_use_and_what_cannot_be_are_refused(served: Served) -> None:
    assert seedbed(served).exit_code == 2
    assert seedbed(served, "a.yaml", "--preset", "b").exit_code == 2
    said = seedbed(served, "-", "--baseline", "0.9", "--effect", "0.2", stdin=json.dumps(spec()))
    assert said.exit_code == 1
    assert "a rate of 1.1" in said.stderr
    assert "rates are between 0 and 1" in said.stderr

"""A real sweep with a strong effect stops before its plan, at the same cohort on any workers."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from tests.e2e.conftest import services
from tests.e2e.test_shot_at import finish

pytestmark = [pytest.mark.service, pytest.mark.ray, pytest.mark.timeout(600)]

SPEC: dict[str, Any] = {
    "name": "a step size that learns, and one that does not",
    "experiment": "deep_mlp",
    "fixed": {"depth": 3, "width": 16, "batch": 16, "clip": "norm"},
    "arms": {"still": {"learning_rate": 1e-6}, "learning": {"learning_rate": 0.1}},
    "seeds": 60,
    "cohort": 5,
    "root": "5eedbed0" * 4,
    "budget": {"steps": 400},
    "evaluate": {"every": 2, "expensive": "end"},
    "success": {"metric": "test_accuracy", "at_least": 0.4},
    "primary": {"arm": "learning", "against": "still", "sided": "greater"},
    "stop": {"when": "evidence", "alpha": 0.01},
}


def test_evidence_ends_a_sweep_at_one_cohort_whatever_trains_it(tmp_path: Path) -> None:
    """12 cohorts are planned. One worker of 3 lanes, and two of 16: other packs, another order."""
    found = []
    for name, options in {
        "few": {"SEEDBED_WORKERS": "1", "SEEDBED_PACK_LANES": "3"},
        "many": {"SEEDBED_WORKERS": "2", "SEEDBED_PACK_LANES": "16"},
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        with services(folder) as serve:
            running = serve(**options)
            sweep = running.client.submit(SPEC)["id"]
            report = finish(running, sweep)
            said = CliRunner().invoke(app, ["watch", sweep, "--url", running.url])
            shown = running.client.sweep(sweep)
            assert running.stop() == 0
        stopped = report["findings"]["plan"]["stopped"]
        assert f"stopped by evidence after cohort {stopped['cohort']} of 12" in said.output
        assert (shown["state"], shown["reason"]) == ("finished", "evidence")
        assert shown["progress"]["ended"] == 120
        assert shown["progress"]["cohorts"]["settled"] == stopped["cohort"] < 12
        assert sum(arm["cancelled"] for arm in shown["progress"]["arms"]) > 0
        found.append((stopped, report["findings_hash"]))
    assert found[0] == found[1]

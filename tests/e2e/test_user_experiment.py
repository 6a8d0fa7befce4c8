"""A user's own experiment, as its guide says: installed, submitted over REST, trained on Ray."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Serve, outcomes
from tests.e2e.test_shot_at import finish
from tests.installed import EXAMPLE, site

pytestmark = [pytest.mark.service, pytest.mark.ray, pytest.mark.timeout(600)]


def test_the_examples_sweep_runs_from_its_package_to_its_report(
    serve: Serve, tmp_path: Path
) -> None:
    """Made smaller; packs of 3 and of 8 lanes, in tiles of 8, give the same outcomes."""
    spec: dict[str, Any] = yaml.safe_load((EXAMPLE / "sweep.yaml").read_text())
    spec |= {"seeds": 4, "cohort": 2, "budget": {"steps": 100}, "root": "5eedbed0" * 4}
    spec["fixed"] |= {"maps": 4, "batch": 16, "dropout": 0.1}
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([str(site(tmp_path / "site")), root, os.environ.get("PYTHONPATH", "")])
    found, hashes = [], set()
    for lanes in ("3", "8"):
        running = serve(SEEDBED_PACK_LANES=lanes, PYTHONPATH=path)
        sweep = running.client.submit(spec)["id"]
        report = finish(running, sweep)
        found.append(outcomes(running.client, sweep))
        hashes.add(report["findings_hash"])
        assert [c["tile"] for c in report["run_log"]["numerics_classes"]] == ["8"]
        running.stop()
    assert len(found[0]) == 8
    assert {row[0] for row in found[0].values()} == {"finished"}
    assert found[0] == found[1]
    assert len(hashes) == 1

"""An experiment in a user's own package is found by its entry point, without torch."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models import catalog
from models.experiment import LiftedExperiment
from tests.installed import site


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(site(tmp_path / "site"))
    catalog.experiments.cache_clear()
    yield
    catalog.experiments.cache_clear()


@pytest.mark.usefixtures("_installed")
def test_the_example_is_found_by_its_entry_point() -> None:
    found = catalog.experiment("digits_cnn")
    assert isinstance(found, LiftedExperiment)
    assert (found.tile, list(catalog.experiments())) == (
        8,
        ["deep_mlp", "digits_cnn", "neural_gpu"],
    )


def test_describing_it_needs_no_torch(tmp_path: Path) -> None:
    """The controller plans its sweeps without a tensor library."""
    program = (
        "import sys; from models.catalog import experiments; e = experiments()['digits_cnn']; "
        "e.lane_values(e.resolve({})); sys.exit('torch' in sys.modules)"
    )
    path = [str(site(tmp_path / "site")), *sys.path]
    environment = {"PYTHONPATH": ":".join(p for p in path if p)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == 0

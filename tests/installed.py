"""Experiments that are installed for one test, in the catalogue or as a package's entry point."""

import tomllib
from pathlib import Path

import pytest

from models import catalog
from models.experiment import Experiment
from workers import numerics

EXAMPLE = Path(__file__).parent.parent / "examples" / "digits_cnn"


def install(monkeypatch: pytest.MonkeyPatch, *experiments: Experiment) -> None:
    """Adds experiments to the catalogue, as their packages' entry points would."""
    found = {**catalog.experiments(), **{e.name: e for e in experiments}}
    for module in (catalog, numerics):
        monkeypatch.setattr(module, "experiments", lambda: found)


def site(folder: Path) -> Path:
    """A folder to put on the path in which the example is installed, by its own pyproject."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = folder / f"digits_cnn-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (folder / "digits_cnn").symlink_to(EXAMPLE / "digits_cnn")
    return folder

"""Experiments that are installed for one test."""

import pytest

from models import catalog
from models.experiment import Experiment
from workers import numerics, trainer


def install(monkeypatch: pytest.MonkeyPatch, *experiments: Experiment) -> None:
    """Adds experiments to the catalogue, as their packages' entry points would."""
    found = {**catalog.experiments(), **{e.name: e for e in experiments}}
    for module in (catalog, numerics, trainer):
        monkeypatch.setattr(module, "experiments", lambda: found)

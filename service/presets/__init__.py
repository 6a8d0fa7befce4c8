"""Ready sweeps, as YAML files beside this one."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


class UnknownPresetError(LookupError):
    """There is no preset of this name."""


@dataclass(frozen=True)
class Preset:
    """A ready sweep: what it is, where its numbers come from, and its spec."""

    name: str
    title: str
    about: str
    spec: dict[str, Any]


@cache
def presets() -> dict[str, Preset]:
    """All presets, by name."""
    found: dict[str, Preset] = {}
    for entry in sorted(files(__package__).iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            content = yaml.safe_load(entry.read_text(encoding="utf-8"))
            name = entry.name.removesuffix(".yaml")
            found[name] = Preset(name, **content)
    return found


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UnknownPresetError: there is none; the message lists those that there are.
    """
    known = presets()
    if name not in known:
        raise UnknownPresetError(f"there is no preset {name!r}; there are {', '.join(known)}")
    return known[name]

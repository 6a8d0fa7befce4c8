"""Ready sweeps, as YAML files beside this one; a folder's name is a part of theirs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml


class UnknownPresetError(LookupError):
    """There is no preset of this name."""


@dataclass(frozen=True)
class Preset:
    """A ready sweep: what it is, where its numbers come from, and its spec.

    Attributes:
        paper: what of it is the paper's, where there is one.
        ours: what the paper leaves open or is changed here.
        numbers: the paper's own results.
        pace: lane-steps a second of one core of this project's machine, to expect its time by.
    """

    name: str
    title: str
    about: str
    spec: dict[str, Any]
    paper: str = ""
    ours: str = ""
    numbers: str = ""
    pace: float | None = None


@cache
def presets() -> dict[str, Preset]:
    """All presets, by name."""
    found: dict[str, Preset] = {}
    for name, entry in sorted(_entries(files(__package__), ""), key=lambda e: e[0]):
        found[name] = Preset(name, **yaml.safe_load(entry.read_text(encoding="utf-8")))
    return found


def _entries(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    """Names and files, folder by folder."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _entries(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield prefix + entry.name.removesuffix(".yaml"), entry


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UnknownPresetError: there is none; the message lists those that there are.
    """
    known = presets()
    if name not in known:
        raise UnknownPresetError(f"there is no preset {name!r}; there are {', '.join(known)}")
    return known[name]

"""The images: who runs them, and that each has what it imports and the controller no torch."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OWN = {"service", "workers", "models"}


def stages() -> dict[str, list[str]]:
    """The lines of every stage, and what it stands on first."""
    found: dict[str, list[str]] = {}
    for line in DOCKERFILE.splitlines():
        if match := re.match(r"FROM (\S+) AS (\S+)", line):
            found[match[2]] = [match[1]]
        elif found:
            found[list(found)[-1]].append(line)
    return found


@pytest.mark.parametrize("target", ["controller", "worker"])
def test_an_image_runs_as_nobody_special_on_a_pinned_base(target: str) -> None:
    lines = stages()[target]
    assert "USER 1000:1000" in lines
    assert not any(line.startswith("RUN") for line in lines)  # no tool of the build gets in
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.11-slim$", DOCKERFILE, re.MULTILINE)
    assert "PIP_CONSTRAINT=/src/constraints.txt" in DOCKERFILE


def test_compose_builds_both_targets() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    built = {
        s["image"].split(":")[0]: s["build"]["target"] for s in services.values() if "build" in s
    }
    assert built == {"seedbed-controller": "controller", "seedbed-worker": "worker"}


def group(name: str) -> set[str]:
    """The requirements of a dependency group, with those that it includes."""
    found: set[str] = set()
    for entry in PROJECT["dependency-groups"][name]:
        found |= {entry} if isinstance(entry, str) else group(entry["include-group"])
    return found


def test_the_images_together_install_what_a_user_does() -> None:
    """A dependency that is added goes into a group too, at the same version."""
    assert group("controller") | group("worker") == set(PROJECT["project"]["dependencies"])


def closure(requirements: set[str]) -> set[str]:
    """The distributions that these requirements bring, as installed here."""
    waiting = [Requirement(text) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        mark = (canonicalize_name(one.name), frozenset(one.extras))
        if mark in seen:
            continue
        seen.add(mark)
        for text in requires(one.name) or ():
            more = Requirement(text)
            extras: set[str] = set(one.extras) or {""}
            if more.marker is None or any(more.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(more)
    return {name for name, _ in seen}


def imported(part: str) -> Iterator[tuple[str, str]]:
    """File and package of every import, also of those inside functions."""
    for file in sorted((ROOT / part).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[Any] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                yield str(file.relative_to(ROOT)), name.partition(".")[0]


@pytest.mark.parametrize(
    ("target", "parts"), [("controller", ["service"]), ("worker", ["workers", "models"])]
)
def test_an_image_has_what_its_code_imports(target: str, parts: list[str]) -> None:
    having = closure(group(target))
    owners = packages_distributions()
    lacking = {
        (file, package)
        for part in parts
        for file, package in imported(part)
        if package not in sys.stdlib_module_names | OWN | {"tests", "digits_cnn"}
        and not {canonicalize_name(name) for name in owners.get(package, ())} & having
    }
    assert not lacking


def test_the_controller_has_no_tensor_library() -> None:
    assert not closure(group("controller")) & {"torch", "numba", "mlxtend", "llvmlite"}

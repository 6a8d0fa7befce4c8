"""The numerics class names the source that made a result, a user's own package included."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from digits_cnn.description import EXPERIMENT

from tests.installed import install
from workers.numerics import code_version

Version = Callable[[str, dict[str, str]], str]


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Version:
    """The code version with a program installed, after its files are written."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(program: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        install(monkeypatch, replace(EXPERIMENT, name="theirs", program=program))
        return code_version()

    return written


def test_any_file_of_the_users_package_moves_the_code_version(version: Version) -> None:
    """Also one beside or above the module that holds the program."""
    program = "their_package.deep.network:Net"
    files = {f"their_package/{name}.py": "" for name in ("__init__", "layers", "deep/__init__")}
    first = version(program, files | {"their_package/deep/network.py": "N = 1\n"})
    assert version(program, {}) == first
    other = version(program, {"their_package/layers.py": "WIDTH = 2\n"})
    assert other != first
    assert version(program, {"their_package/deep/network.py": "N = 2\n"}) not in (first, other)


def test_a_program_in_a_single_module_is_covered(version: Version) -> None:
    first = version("their_module:Net", {"their_module.py": "N = 1\n"})
    assert version("their_module:Net", {"their_module.py": "N = 2\n"}) != first


def test_a_program_in_a_namespace_package_is_covered(version: Version) -> None:
    """It has no file of its own: the first package with one, from the left, is taken."""
    program = "their_company.team.network:Net"
    files = {"their_company/team/__init__.py": "", "their_company/team/network.py": "N = 1\n"}
    first = version(program, files)
    assert version(program, {"their_company/team/network.py": "N = 2\n"}) != first


def test_the_package_of_the_settings_is_covered_too(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = version("their_module:Net", {"their_module.py": "", "their_words.py": "A = 1\n"})
    monkeypatch.setattr(EXPERIMENT.settings, "__module__", "their_words")
    second = version("their_module:Net", {})
    assert len({first, second, version("their_module:Net", {"their_words.py": "A = 2\n"})}) == 3


def test_a_program_whose_source_is_not_here_is_refused(version: Version) -> None:
    with pytest.raises(ModuleNotFoundError, match="no source of module 'nowhere"):
        version("nowhere.network:Net", {})

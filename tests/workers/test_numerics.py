"""The code version moves with the source that can move results, and with no other."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import models
import workers

ENTRY = "[seedbed.experiments]\nguest = guest.description:EXPERIMENT\n"
DESCRIPTION = """
from dataclasses import replace
from models.deep_mlp.settings import EXPERIMENT as BUILT_IN
EXPERIMENT = replace(BUILT_IN, name="guest", program="guest.program:Guest")
"""
#: touches files of the copy one after the other, and says the version before and after each
SCRIPT = """
import json, pathlib, sys
from workers import numerics, pack
here = pathlib.Path(sys.argv[1])
assert str(here) in pack.__file__, pack.__file__
engine = sorted({m.__file__ for n, m in sys.modules.items() if n.partition(".")[0] == "workers"})
found = {"": [numerics.code_version(), numerics.code_version()]}
for name in sys.argv[2:] + [str(pathlib.Path(f).relative_to(here)) for f in engine]:
    file = here / name
    before, text = numerics.code_version(), file.read_text() if file.exists() else None
    file.write_text((text or "") + "# another line\\n")
    found[name] = [before, numerics.code_version()]
    file.unlink() if text is None else file.write_text(text)
print(json.dumps({"versions": found, "back": numerics.code_version()}))
"""
MOVES = [
    "models/streams.py",
    "models/updates/noise.py",
    "models/neural_gpu/program.py",
    "models/a_new_file.py",
    "guest/program.py",
    "guest/parts/layers.py",
]
STAYS = ["workers/pool.py", "workers/trainer.py", "models/notes.md", "service/spec.py"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Versions before and after a change of each file, in a copy with an installed experiment."""
    here = tmp_path_factory.mktemp("copy")
    for package in (models, workers):
        folder = Path(str(package.__file__)).parent
        skipped = shutil.ignore_patterns("__pycache__")
        shutil.copytree(folder, here / folder.name, ignore=skipped)
    for name, text in {
        "guest/__init__.py": "",
        "guest/description.py": DESCRIPTION,
        "guest/program.py": "class Guest: ...\n",
        "guest/parts/layers.py": "",
        "service/spec.py": "",
        "guest-1.dist-info/METADATA": "Name: guest\nVersion: 1\n",
        "guest-1.dist-info/entry_points.txt": ENTRY,
    }.items():
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(here), *MOVES, *STAYS],
        env=os.environ | {"PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=here,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    versions: dict[str, Any] = json.loads(done.stdout)
    return versions


def test_the_same_source_has_the_same_version(found: dict[str, Any]) -> None:
    """Asked twice, and again once every change is undone."""
    assert {*found["versions"][""], found["back"]} == {found["back"]}
    assert len(found["back"]) == 16


@pytest.mark.parametrize("file", MOVES)
def test_it_moves_with_models_and_with_an_installed_experiments_package(
    found: dict[str, Any], file: str
) -> None:
    before, after = found["versions"][file]
    assert before != after


def test_it_moves_with_every_module_that_the_engine_loads(found: dict[str, Any]) -> None:
    """All but messages, which hold values of the spec, width and memory: no bit is theirs."""
    engine = {f for f in found["versions"] if f.startswith("workers/") and f not in STAYS}
    assert engine >= {"workers/__init__.py", "workers/pack.py", "workers/lane.py"}
    still = {f for f in engine if len(set(found["versions"][f])) == 1}
    assert still == {"workers/memory.py", "workers/messages.py", "workers/width.py"}


@pytest.mark.parametrize("file", STAYS)
def test_it_stays_when_nothing_that_moves_results_changed(found: dict[str, Any], file: str) -> None:
    before, after = found["versions"][file]
    assert before == after

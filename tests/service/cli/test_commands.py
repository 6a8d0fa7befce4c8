"""Commands against the real application: what they print, and how they say no."""

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.client import Client
from tests.service.samples import spec
from tests.service.serving import Served

runner = CliRunner()


def seedbed(served: Served, *words: str, stdin: str | None = None) -> Result:
    return runner.invoke(app, [*words, "--url", served.url], input=stdin)


@pytest.fixture
def sweep(served: Served) -> str:
    """A small sweep that waits."""
    with Client(served.url) as client:
        found: str = client.submit(spec())["id"]
        return found


def test_submit_takes_yaml_and_prints_the_id(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec()))
    said = seedbed(served, "submit", str(path))
    assert said.exit_code == 0, said.stderr
    with Client(served.url) as client:
        assert client.sweep(said.stdout.strip())["name"] == "small"


def test_submit_reads_standard_input_and_replaces_what_it_is_told(served: Served) -> None:
    """Fewer seeds than a cohort shrink the cohort, and say so."""
    words = ("submit", "-", "--seeds", "1", "--root", "ab" * 16, "--name", "other")
    said = seedbed(served, *words, stdin=json.dumps(spec()))
    assert said.exit_code == 0, said.stderr
    assert "cohort 2 -> 1" in said.stderr
    with Client(served.url) as client:
        found = client.sweep(said.stdout.strip())
    assert (found["name"], found["spec"]["root"], found["trials"]) == ("other", "ab" * 16, 4)


def test_a_dry_run_counts_and_stores_nothing(served: Served) -> None:
    said = seedbed(served, "submit", "-", "--dry-run", stdin=json.dumps(spec()))
    assert json.loads(said.stdout)["trials"] == 24
    with Client(served.url) as client:
        assert list(client.sweeps()) == []


def untold(_client: Client, _sweep: str) -> Iterator[dict[str, Any]]:
    """A service that tells nothing, so that it is asked."""
    return iter(())


def test_submit_and_watch_a_preset_to_its_end(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks a stand-in worker ends everything."""
    monkeypatch.setattr("service.cli.live.watch.__kwdefaults__", {
        "clock": lambda: 0.0, "wait": lambda _: served.train_all(), "listen": untold,
    })  # fmt: skip
    said = seedbed(served, "submit", "--preset", "deep-mlp-demo", "--seeds", "5", "--watch")
    assert said.exit_code == 0, said.stderr
    assert "finished: 10 of 10 trials ended (100 %)" in said.stdout


def test_a_bad_spec_is_refused_with_its_field_and_no_traceback(served: Served) -> None:
    said = seedbed(served, "submit", "-", stdin=json.dumps(spec(experiment="deep_mpl")))
    assert said.exit_code == 1
    assert "experiment = 'deep_mpl'" in said.stderr
    assert "did you mean 'deep_mlp'" in said.stderr
    assert "Traceback" not in said.output


def test_an_unknown_sweep_is_refused(served: Served) -> None:
    said = seedbed(served, "show", "nothing")
    assert said.exit_code == 1
    assert "'nothing'" in said.stderr
    assert "What to do:" in said.stderr


def test_nobody_there_is_said_in_three_parts() -> None:
    said = runner.invoke(app, ["list", "--url", "http://127.0.0.1:9"])
    assert said.exit_code == 1
    assert len(said.stderr.splitlines()) == 3
    assert "seedbed serve" in said.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["submit"],
        ["submit", "a.yaml", "--preset", "b"],
        ["submit", "a.yaml", "--watch", "--dry-run"],
        ["list", "--url", "nonsense"],
        ["frobnicate"],
        ["serve", "--host", "0.0.0.0"],  # noqa: S104 - it is refused
    ],
)
def test_wrong_use_ends_with_2(words: list[str]) -> None:
    assert runner.invoke(app, words).exit_code == 2


def test_list_show_and_their_json(served: Served, sweep: str) -> None:
    assert sweep in seedbed(served, "list").stdout
    assert json.loads(seedbed(served, "list", "--json").stdout)[0]["id"] == sweep
    shown = seedbed(served, "show", sweep).stdout
    assert "0 of 24 trials ended" in shown
    assert "noise_eta: 0.01" in shown
    assert json.loads(seedbed(served, "show", sweep, "--json").stdout)["id"] == sweep


def test_priority_labels_and_note_are_given_changed_and_found(served: Served) -> None:
    words = ("submit", "-", "--priority", "10", "--label", "night", "--note", "why")
    sweep = seedbed(served, *words, stdin=json.dumps(spec())).stdout.strip()
    assert "priority 10; labels night; note: why" in seedbed(served, "show", sweep).stdout
    assert sweep in seedbed(served, "list", "--label", "night").stdout
    said = seedbed(served, "change", sweep, "--priority", "-1", "--no-labels")
    assert said.stdout.strip() == f"{sweep} priority -1; note: why"
    assert "no such sweeps" in seedbed(served, "list", "--label", "night").stderr
    assert seedbed(served, "change", sweep).exit_code == 2
    assert seedbed(served, "change", sweep, "--label", "a", "--no-labels").exit_code == 2


def test_pause_resume_cancel_and_delete(served: Served, sweep: str) -> None:
    assert seedbed(served, "pause", sweep).stdout.split() == [sweep, "paused"]
    assert seedbed(served, "resume", sweep).stdout.split() == [sweep, "waiting"]
    assert seedbed(served, "delete", sweep, "--yes").exit_code == 1
    assert seedbed(served, "cancel", sweep, stdin="n\n").exit_code == 1
    assert seedbed(served, "cancel", sweep, "--yes").stdout.split() == [sweep, "cancelled"]
    assert seedbed(served, "watch", sweep).exit_code == 1
    assert seedbed(served, "delete", sweep, stdin="y\n").exit_code == 0
    assert seedbed(served, "show", sweep).exit_code == 1


def test_extend_names_the_target_in_the_specs_words(served: Served, sweep: str) -> None:
    early = seedbed(served, "extend", sweep, "--seeds", "8")
    assert early.exit_code == 1
    assert "only a finished sweep is extended" in early.stderr
    served.train_all()
    said = seedbed(served, "extend", sweep, "--seeds", "8").stdout
    assert said == f"{sweep} waiting: 8 of 32 trials to run\n"
    assert seedbed(served, "extend", sweep, "--seeds", "8").stdout == said
    served.train_all()
    words = ("--arm", "louder", "noise_eta=3e-2", "--grid", "learning_rate=0.2,0.3")
    said = seedbed(served, "extend", sweep, *words).stdout
    assert said == f"{sweep} waiting: 40 of 72 trials to run\n"
    shown = json.loads(seedbed(served, "show", sweep, "--json").stdout)
    assert shown["spec"]["arms"]["louder"] == {"noise_eta": 0.03}
    assert shown["spec"]["grid"] == {"learning_rate": [0.1, 0.2, 0.3]}
    served.train_all()
    again = seedbed(served, "extend", sweep, *words).stdout
    assert again == f"{sweep} finished: 0 of 72 trials to run\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what to add"),
        (("noise_eta=1",), "say what to add"),
        (("noise_eta=1", "--seeds", "9"), "name the arm"),
        (("--arm", "x", "noise_eta"), "no KEY=VALUE"),
        (("--grid", "a=1", "--grid", "a=2"), "given twice"),
        (("--arm", "x", "noise_eta=&a 1"), "anchors"),
    ],
)
def test_extend_says_what_is_wrong_with_its_words(
    served: Served, sweep: str, words: tuple[str, ...], said: str
) -> None:
    found = seedbed(served, "extend", sweep, *words)
    assert found.exit_code in (1, 2)
    assert said in found.stderr


def test_watch_detaches_on_ctrl_c_and_says_how_to_come_back(
    served: Served, sweep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("service.cli.live.watch.__kwdefaults__", {
        "clock": lambda: 0.0, "wait": interrupt, "listen": untold,
    })  # fmt: skip
    said = seedbed(served, "watch", sweep)
    assert said.exit_code == 130
    assert f"seedbed watch {sweep}" in said.stderr
    with Client(served.url) as client:
        assert client.sweep(sweep)["state"] == "waiting"


def test_a_report_is_printed_and_written(served: Served, sweep: str, tmp_path: Path) -> None:
    served.train_all()
    assert "# small" in seedbed(served, "report", sweep).stdout
    found = json.loads(seedbed(served, "report", sweep, "--format", "json").stdout)
    assert found["findings"]["plan"]["complete"]
    target = tmp_path / "report.csv"
    seedbed(served, "report", sweep, "--format", "csv", "--output", str(target))
    assert target.read_text().startswith("metric,")
    lost = seedbed(served, "report", sweep, "--output", str(tmp_path / "no" / "file"))
    assert lost.exit_code == 1


def test_a_report_is_written_as_a_page_a_picture_and_a_table(
    served: Served, sweep: str, tmp_path: Path
) -> None:
    served.train_all()
    for wanted, start in (("html", b"<!doctype"), ("png", b"\x89PNG"), ("parquet", b"PAR1")):
        target = tmp_path / f"report.{wanted}"
        seedbed(served, "report", sweep, "--format", wanted, "--output", str(target))
        assert target.read_bytes().startswith(start)
    assert seedbed(served, "report", sweep, "-f", "latex").stdout.startswith("% small")
    picture = seedbed(served, "report", sweep, "-f", "svg", "--figure", "ecdf").stdout
    assert "share that reached x or better" in picture
    wrong = seedbed(served, "report", sweep, "-f", "svg", "--figure", "violin")
    assert wrong.exit_code == 1
    assert "use one of rates, difference" in wrong.stderr


def test_a_bundle_is_written_whole_with_its_hash_or_not_at_all(
    served: Served, sweep: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.train_all()
    monkeypatch.chdir(tmp_path)
    said = seedbed(served, "export", sweep)
    assert said.exit_code == 0, said.stderr
    with zipfile.ZipFile(tmp_path / f"seedbed-{sweep}.zip") as bundle:
        assert bundle.testzip() is None
        assert said.stdout.strip() == hashlib.sha256(bundle.read("SHA256SUMS")).hexdigest()
    assert seedbed(served, "export", sweep, "-o", str(tmp_path / "b.zip")).stdout == said.stdout
    missing = seedbed(served, "export", "nope", "-o", str(tmp_path / "nope.zip"))
    assert missing.exit_code == 1
    assert "nope" in missing.stderr
    lost = seedbed(served, "export", sweep, "-o", str(tmp_path / "no" / "file"))
    assert lost.exit_code == 1
    assert "What to do: name another file" in lost.stderr
    assert sorted(p.name for p in tmp_path.glob("*zip*")) == ["b.zip", f"seedbed-{sweep}.zip"]


def test_presets_and_experiments_are_listed_and_shown(served: Served) -> None:
    assert "neural-gpu-small" in seedbed(served, "presets").stdout
    shown = seedbed(served, "presets", "show", "deep-mlp-demo").stdout
    assert yaml.safe_load(shown)["experiment"] == "deep_mlp"
    assert "deep_mlp" in seedbed(served, "experiments").stdout
    assert "noise_eta" in seedbed(served, "experiments", "show", "deep_mlp").stdout


def test_backup_and_upgrade_need_no_service(tmp_path: Path) -> None:
    variables = {"SEEDBED_STATE_FOLDER": str(tmp_path / "state"), "SEEDBED_DATABASE_URL": ""}
    assert runner.invoke(app, ["db", "upgrade"], env=variables).exit_code == 0
    target = tmp_path / "copy.db"
    assert runner.invoke(app, ["backup", str(target)], env=variables).exit_code == 0
    assert target.stat().st_size > 0
    again = runner.invoke(app, ["backup", str(target)], env=variables)
    assert again.exit_code == 1
    assert "never overwrites" in again.stderr


def test_help_imports_nothing_heavy() -> None:
    """A fresh interpreter: no tensor, statistics, cluster, database or HTTP library."""
    code = (
        "import sys; from typer.testing import CliRunner; from service.cli.app import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "heavy = {'ray', 'torch', 'scipy', 'numpy', 'sqlalchemy', 'httpx', 'fastapi'}; "
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""`python -m tests.benchmarks`: measures every row on this machine and writes docs/bench.md."""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import launch
from tests.benchmarks.campaign import Campaign, searched
from tests.benchmarks.chart import draw
from tests.benchmarks.machine import load_note, machine
from tests.benchmarks.render import markdown
from tests.benchmarks.row import Results
from tests.benchmarks.size import FULL, QUICK


def options(words: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="seedbed bench", description=__doc__)
    parser.add_argument("--repeats", type=int, help="of every row; 5, or 1 with --quick")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run; its numbers mean nothing"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where rows train")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name holds TEXT")
    parser.add_argument(
        "--output", type=Path, default=launch.ROOT / "docs", help="folder of bench.md and bench.svg"
    )
    parser.add_argument("--raw", type=Path, help="a file for every sample, as JSON")
    parser.add_argument(
        "--widths", type=Path, metavar="RAW",
        help="take the best widths from an earlier run's --raw; searching them takes half of a run",
    )  # fmt: skip
    return parser.parse_args(words)


def run(words: list[str]) -> Results:
    """Measures; says on standard error what it is doing."""
    asked = options(words)
    size = QUICK if asked.quick else FULL
    repeats = asked.repeats or (1 if asked.quick else 5)
    notes = [note for note in [load_note()] if note]
    began = time.monotonic()

    def say(what: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:6.0f} s  {what}\n")

    known = searched(json.loads(asked.widths.read_text())) if asked.widths else {}
    if known:
        notes.append("The best widths are those that an earlier run on this machine found.")
    campaign = Campaign(size, asked.device, say, known=known)
    before = launch.probe("calibration", core=campaign.core, seconds=size.calibration_s)
    rows = campaign.prepare(asked.only)
    for number in range(repeats):
        say(f"repeat {number + 1} of {repeats}")
        campaign.repeat(rows)
    wanted = not asked.only or asked.only in "control plane"
    control = launch.probe("control_plane")["rows"] if wanted else None
    after = launch.probe("calibration", core=campaign.core, seconds=size.calibration_s)
    return Results(
        rows=rows,
        calibration=[before, after],
        machine=machine(len(launch.cores())),
        control=control,
        notes=notes,
        command=" ".join(["seedbed bench", *_public(words)]),
        date=datetime.now(UTC).date().isoformat(),
        repeats=repeats,
        quick=asked.quick,
    )


#: options that name a file or folder of this machine
_OWN = ("--output", "--raw", "--widths")


def _public(words: list[str]) -> list[str]:
    """The words without those that name a folder of this machine."""
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and not word.startswith(_OWN):
            kept.append(word)
        skip = word in _OWN
    return kept


def main(words: list[str]) -> None:
    """Writes the page and the chart, and prints the page."""
    asked = options(words)
    with tempfile.TemporaryDirectory(prefix="seedbed-jax-") as cache:
        launch.CACHE["JAX_COMPILATION_CACHE_DIR"] = cache  # repeats do not compile again
        results = run(words)
    asked.output.mkdir(parents=True, exist_ok=True)
    page = markdown(results)
    (asked.output / "bench.md").write_text(page)
    draw(results, asked.output / "bench.svg")
    if asked.raw:
        asked.raw.write_text(json.dumps(asdict(results), indent=1))
    sys.stdout.write(page)


if __name__ == "__main__":
    main(sys.argv[1:])

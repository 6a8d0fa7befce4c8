"""`python -m service.study`: runs the studies of docs/results, or goes on with them."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from service.local import StartError
from service.store.archive import ArchiveError
from service.study.run import OutOfTimeError, Study

STUDIES = (
    "small/table1",
    "small/five-layers",
    "small/table6",
    "small/multiplication",
    "paper/table1",
    "neural-gpu-small",
)
#: more than this is not begun without being asked for
MOST_CORE_HOURS = 12.0


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="PRESET...")] = None,
    folder: Annotated[Path, typer.Option(help="Where results lie.")] = Path("docs/results"),
    minutes: Annotated[float, typer.Option(min=0.0, help="Stop after so long, kept.")] = 720.0,
    core_hours: Annotated[float, typer.Option(help="The most to begin.")] = MOST_CORE_HOURS,
) -> None:
    """Run ready sweeps to their end and write their pages; interrupted ones go on."""
    studies = [Study(name, folder, _say) for name in names or STUDIES]
    try:
        left = 0.0
        for study in studies:
            whole, rest = study.core_hours()
            left += rest
            _say(f"{study.name}: {whole:.2f} core-hours expected, {rest:.2f} of them left")
        _say(f"together {left:.2f} core-hours are left; Ctrl-C keeps every settled cohort")
        if left > core_hours:
            _say(f"more than {core_hours:g} are not begun; name fewer presets, or --core-hours")
            raise typer.Exit(2)
        until = time.monotonic() + 60 * minutes
        for study in studies:
            study.run(until)
    except (ArchiveError, OutOfTimeError, StartError) as error:
        _say(str(error))
        raise typer.Exit(1) from error


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    typer.run(main)

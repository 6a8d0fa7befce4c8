"""`seedbed demo` as a person runs it: a report at its end, and nothing left behind early."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import until

pytestmark = [pytest.mark.service, pytest.mark.ray, pytest.mark.timeout(600)]


def demo(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Starts the demo; what it prints goes to a file, as it is printed."""
    with (folder / "printed").open("w") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "service.cli.app", "demo", *words],
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The service, Ray and the workers."""
    return psutil.Process(process.pid).children(recursive=True)


def test_the_demo_prints_a_report_with_rates_intervals_difference_and_p(tmp_path: Path) -> None:
    """Whole: service, REST, Ray, torch, SQL, report; fewer seeds than `make demo` alone."""
    process = demo(tmp_path, "--seeds", "2")
    assert process.wait(timeout=500) == 0, (tmp_path / "printed").read_text()
    text = " ".join((tmp_path / "printed").read_text().split())
    assert "finished: 4 of 4 trials ended (100 %)" in text
    interval = r"\[\d+\.\d %, \d+\.\d %\]"
    for arm in ("plain", "noisy"):
        assert re.search(rf"{arm} [012] of 2 = \d+\.\d % {interval}", text), text
        assert re.search(rf"{arm} [012] / 2 \d+\.\d % \d+\.\d % to \d+\.\d %", text), text
    difference = r"difference [+-]\d+\.\d points, 95 % interval \[[+-]\d+\.\d, [+-]\d+\.\d\]"
    assert re.search(rf"noisy against plain on 2 pairs: {difference}", text), text
    assert re.search(r"exact McNemar p = \d\.\d{4} \(two-sided\)", text), text
    assert re.search(r"The dashboard was at http://127\.0\.0\.1:\d+/sweeps/\w+", text), text


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demo_that_is_ended_early_says_so_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    process = demo(tmp_path)
    printed = tmp_path / "printed"
    until(lambda: "POST" in printed.read_text() or process.poll() is not None, 240)
    started = family(process)
    assert len(started) > 3
    process.send_signal(number)
    assert process.wait(timeout=90) == status, printed.read_text()
    assert "Traceback" not in printed.read_text()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []

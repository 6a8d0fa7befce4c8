"""A dispatcher shows life in a file, so that a probe asks neither it nor the store."""

import os
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.configuration import Configuration
from service.processes.pulse import FILE, NoPulseError, Pulse, check


def test_the_probe_says_what_the_dispatcher_does(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with pytest.raises(NoPulseError, match="there is no"):
        check(folder)
    pulse = Pulse(Configuration(state_folder=folder))
    pulse.beat("waiting")
    assert check(folder) == "waiting"
    pulse.beat("active")
    assert check(folder) == "active"
    pulse.end()
    with pytest.raises(NoPulseError, match="seedbed dispatcher"):
        check(folder)


def test_a_dispatcher_that_hangs_has_no_pulse(tmp_path: Path) -> None:
    Pulse(Configuration(state_folder=tmp_path)).beat("active")
    then = time.time() - 90
    os.utime(tmp_path / FILE, (then, then))
    with pytest.raises(NoPulseError, match="hangs or was killed"):
        check(tmp_path)


def test_a_file_that_cannot_be_written_ends_no_dispatcher(tmp_path: Path) -> None:
    """As on a full disk, or where somebody cleared the folder; said once; it mends itself."""
    folder = tmp_path / "state"
    pulse = Pulse(Configuration(state_folder=folder))
    folder.rename(tmp_path / "elsewhere")
    with capture_logs() as logged:
        pulse.beat("active")
        pulse.beat("active")
    assert [line["event"] for line in logged] == ["pulse_not_written"]
    (tmp_path / "elsewhere").rename(folder)
    pulse.beat("active")
    assert check(folder) == "active"

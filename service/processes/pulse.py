"""The dispatcher's pulse: a file that it touches, so that a probe need not ask the store.

A store that is away is no fault of the dispatcher, which waits for it: a probe that asked the store
would have a sound dispatcher restarted.
"""

import contextlib
import time
from pathlib import Path

import structlog

from service.configuration import Configuration

log = structlog.get_logger()

FILE = "dispatcher.pulse"
#: a dispatcher that has not touched its file for so long hangs
STILL_S = 60.0


class NoPulseError(Exception):
    """No dispatcher of this machine shows life."""


class Pulse:
    """The file of one dispatcher, in its state folder.

    Args:
        configuration: says where the state folder is; it is made if it is not there.
    """

    def __init__(self, configuration: Configuration) -> None:
        configuration.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = configuration.state_folder / FILE
        self._failed = False

    def beat(self, doing: str) -> None:
        """Shows life; `doing` is what `seedbed dispatcher --check` then says.

        Where the file cannot be written, as on a full disk, that is logged once: the dispatcher
        does without, and only whoever looks at the file can take it for dead.
        """
        try:
            self._file.write_text(doing)
        except OSError as error:
            if not self._failed:
                log.warning(
                    "pulse_not_written",
                    error=str(error),
                    cure="make room, or mend the "
                    "state folder (SEEDBED_STATE_FOLDER); probes see no life meanwhile",
                )
            self._failed = True
        else:
            self._failed = False

    def end(self) -> None:
        """The dispatcher stops."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)


def check(folder: Path) -> str:
    """What the dispatcher with this state folder does.

    Raises:
        NoPulseError: there is none, or it hangs.
    """
    file = folder / FILE
    try:
        still_s = time.time() - file.stat().st_mtime
        doing = file.read_text()
    except FileNotFoundError as error:
        raise NoPulseError(
            f"there is no {file}; a dispatcher that runs touches it every second; start one with "
            "`seedbed dispatcher`, or give this check its SEEDBED_STATE_FOLDER"
        ) from error
    if still_s > STILL_S:
        raise NoPulseError(
            f"{file} was touched {still_s:.0f} s ago; a dispatcher that has not for {STILL_S:.0f} "
            "s hangs or was killed; look at its log and start it again"
        )
    return doing

"""`seedbed` with a wall clock that is as wrong as the file named by CHAOS_CLOCK says, in hours.

Only what the dispatcher asks for the time is changed, `service.dispatch.leadership.now`, before
anything else imports it. (libfaketime, which changes the time for a whole process, makes this
Python's `time.sleep` fail.)
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.dispatch import leadership

CLOCK = "CHAOS_CLOCK"


def wrong() -> datetime:
    """The time, as wrong as it should be at this moment."""
    hours = int(Path(os.environ[CLOCK]).read_text() or "0")
    return datetime.now(UTC) + timedelta(hours=hours)


if __name__ == "__main__":
    leadership.now = wrong
    from service.cli.app import main

    main()

"""What processes write to standard error: events of the log, and lines for the person there."""

import sys
import threading
import traceback
from types import TracebackType

from service.configuration import Configuration
from service.observe.logs import adopt, configure
from service.observe.redaction import Redaction, redact

__all__ = ["adopt", "logs", "say"]


def logs(configuration: Configuration) -> None:
    """The log as it is asked for; what ends the process or a thread is told without secrets."""
    configure(configuration.log_format, configuration.log_level)
    hidden = Redaction()

    def ended(
        kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
    ) -> None:
        say(hidden.text("".join(traceback.format_exception(kind, error, trace)).rstrip()))

    sys.excepthook = ended
    threading.excepthook = lambda given: ended(given.exc_type, given.exc_value, given.exc_traceback)


def say(line: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(redact(line) + "\n")
    sys.stderr.flush()

"""What processes write to standard error: events of the log, and lines for the person there."""

import sys

from service.configuration import Configuration
from service.observe.logs import adopt, configure

__all__ = ["adopt", "logs", "say"]


def logs(configuration: Configuration) -> None:
    """The log as it is asked for."""
    configure(configuration.log_format, configuration.log_level)


def say(line: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

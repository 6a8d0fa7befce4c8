"""How the log is written: events with fields, one a line, whoever speaks, as text or as JSON."""

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import Processor

from service.observe.redaction import Redaction

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning"]

#: libraries that have handlers of their own once they are up
_OWN_HANDLERS = ("ray", "uvicorn", "uvicorn.error", "uvicorn.access")


def configure(style: Format, level: Level = "info", to: TextIO | None = None) -> None:
    """Everything that this process logs goes to standard error in one style.

    Libraries that use Python's own logging are heard from warnings on: what they say at info the
    service says itself, or nobody reads.

    Args:
        level: from which events of the service are written.
        to: instead of standard error.
    """
    out = to or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending = _ending(style, out)
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    adopt()


def adopt() -> None:
    """Takes away what libraries write by themselves, so that it goes the way of all others.

    To be called again once one is up that puts handlers in place.
    """
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(logging.NOTSET)  # the root's: Ray lets its own info through


def _ending(style: Format, out: TextIO) -> list[Processor]:
    """How an event becomes a line; tracebacks are plain, without the values of variables.

    Secrets are taken out of the whole line, wherever in it they stand.
    """
    if style == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
            Redaction(),
        ]
    plain = structlog.dev.plain_traceback
    rendered = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=plain)
    return [rendered, Redaction()]

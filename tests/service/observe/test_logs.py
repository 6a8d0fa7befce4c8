"""Every line of the log is an event with fields, whoever speaks."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from service.observe.logs import adopt, configure


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where the log goes; afterwards everything is as it was."""
    root = logging.getLogger()
    before = structlog.get_config(), list(root.handlers), root.level
    yield io.StringIO()
    structlog.configure(**before[0])
    root.handlers, root.level = before[1], before[2]


def lines(out: io.StringIO) -> list[dict[str, object]]:
    """What was written as JSON."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_json_has_a_line_an_event_also_with_a_traceback(out: io.StringIO) -> None:
    configure("json", to=out)
    log = structlog.get_logger()
    with structlog.contextvars.bound_contextvars(request_id="r7"):
        log.info("sweep_ended", sweep="s1")
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            log.exception("turn_failed", times=1)
    log.debug("request")
    first, second = lines(out)
    assert first.pop("timestamp")
    assert first == {"event": "sweep_ended", "sweep": "s1", "level": "info", "request_id": "r7"}
    assert "ZeroDivisionError: division by zero" in str(second["exception"])
    assert second["request_id"] == "r7"


@pytest.mark.parametrize("name", ["uvicorn.error", "ray", "sqlalchemy.pool", "alembic"])
def test_libraries_that_log_by_themselves_are_written_the_same_way(
    out: io.StringIO, name: str
) -> None:
    """Also those that put a handler of their own in place, once that is taken away."""
    other = io.StringIO()
    logging.getLogger(name).addHandler(logging.StreamHandler(other))
    logging.getLogger(name).propagate = name == "alembic"
    if name in ("uvicorn.error", "ray"):
        logging.getLogger(name).setLevel(logging.INFO)
    configure("json", to=out)
    adopt()
    logging.getLogger(name).propagate = True
    logging.getLogger(name).warning("it is %s", "odd")
    logging.getLogger(name).info("nobody reads this")
    [line] = lines(out)
    assert (line["event"], line["level"], line["logger"]) == ("it is odd", "warning", name)
    if name in ("uvicorn.error", "ray"):
        assert other.getvalue() == ""
    logging.getLogger(name).handlers = []


def test_debug_and_console_are_there_when_asked_for(out: io.StringIO) -> None:
    configure("console", "debug", to=out)
    structlog.get_logger().debug("request", status=200, route="/healthz")
    assert "status=200" in out.getvalue()
    assert "[debug" in out.getvalue()

"""Spans go to whoever is set up to take them, and nowhere otherwise."""

from typing import Any

import pytest
from opentelemetry.trace import NonRecordingSpan, NoOpTracer, Span, get_current_span, use_span
from sqlalchemy import Engine

from service.dispatch.loop import Dispatcher
from service.dispatch.watch import Unwatched, Watches
from service.observe.traces import DispatchSpans
from service.store.engine import session_factory
from tests.service.api.conftest import Served, anyio_backend, served
from tests.service.dispatch.stand_ins import RULES, FakeWorkers, run, submit

pytestmark = pytest.mark.anyio
__all__ = ["anyio_backend", "served"]


class Recorded(NonRecordingSpan):
    """A span that remembers."""

    def __init__(self, name: str, start: int | None, attributes: Any, context: Any) -> None:
        super().__init__(get_current_span(context).get_span_context())
        self.name, self.start = name, start
        self.attributes = dict(attributes or {})
        self.ended: int | None = None

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def end(self, end_time: int | None = None) -> None:
        self.ended = end_time


class Recorder(NoOpTracer):
    """Takes spans as an SDK would."""

    def __init__(self) -> None:
        self.spans: list[Recorded] = []

    def start_span(
        self, name: str, context: Any = None, *_: Any, start_time: int | None = None,
        attributes: Any = None, **_options: Any,
    ) -> Span:  # fmt: skip
        self.spans.append(Recorded(name, start_time, attributes, context))
        return self.spans[-1]


async def test_a_requests_span_has_its_id(served: Served) -> None:
    """Whoever made the span: here a test, otherwise FastAPI."""
    span = Recorded("GET", None, {}, None)
    async with served.client() as api:
        with use_span(span):
            await api.get("/healthz", headers={"X-Request-ID": "mine"})
    assert span.attributes == {"seedbed.request_id": "mine"}


def test_turns_and_calls_are_spans(sqlite: Engine) -> None:
    sessions, recorder = session_factory(sqlite), Recorder()
    submit(sessions)
    watch = Watches(Unwatched(), DispatchSpans(recorder))
    run(Dispatcher(sessions, FakeWorkers(), RULES, "me", watch=watch))
    names = {span.name for span in recorder.spans}
    assert names == {"turn", "advance"}
    assert sum(s.attributes.get("seedbed.claimed", 0) for s in recorder.spans) == 24
    for span in recorder.spans:
        assert span.start is not None
        assert span.ended is not None
        assert span.start <= span.ended

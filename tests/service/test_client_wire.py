"""A service that cannot take a request now is asked again when it says, and only what is safe."""

from collections.abc import Sequence

import httpx
import pytest

from service.client import ServiceError
from service.client.wire import Wire


class Line:
    """Answers one after the other, and a clock that only waiting moves."""

    def __init__(self, *answers: httpx.Response, patience_s: float = 30.0) -> None:
        self.answers, self.now = list(answers), 100.0
        self.waited: list[float] = []
        self.wire = Wire(
            "http://127.0.0.1:1",
            5.0,
            transport=httpx.MockTransport(lambda _: self.answers.pop(0)),
            patience_s=patience_s,
            clock=lambda: self.now,
            wait=self.wait,
        )

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


def busy(status: int, after: str | None = "2") -> httpx.Response:
    headers = {} if after is None else {"Retry-After": after}
    return httpx.Response(status, json={"title": "not now", "cure": "wait"}, headers=headers)


def fine() -> httpx.Response:
    return httpx.Response(200, json={"ok": True})


@pytest.mark.parametrize("statuses", [[429], [503], [503, 429, 503]])
def test_a_read_is_asked_again_when_the_service_says(statuses: Sequence[int]) -> None:
    line = Line(*map(busy, statuses), fine())
    assert line.wire.json("GET", "/sweeps") == {"ok": True}
    assert line.waited == [2.0] * len(statuses)


def test_what_may_have_been_done_is_not_done_twice() -> None:
    """503 may be a commit whose acknowledgement was lost; 429 says that nothing was done."""
    line = Line(busy(503), fine())
    with pytest.raises(ServiceError, match="not now"):
        line.wire.json("POST", "/sweeps/a/extend", json={"seeds": 2})
    assert line.waited == []
    line = Line(busy(429), fine())
    assert line.wire.json("POST", "/sweeps/a/extend", json={"seeds": 2}) == {"ok": True}
    line, keyed = Line(busy(503), fine()), {"Idempotency-Key": "k"}
    assert line.wire.json("POST", "/sweeps", json={}, headers=keyed) == {"ok": True}
    assert line.waited == [2.0]


@pytest.mark.parametrize("after", [None, "", "soon", "-1", "nan"])
def test_who_is_not_told_when_is_told_no(after: str | None) -> None:
    line = Line(busy(503, after), fine())
    with pytest.raises(ServiceError):
        line.wire.json("GET", "/sweeps")
    assert line.waited == []


def test_patience_ends() -> None:
    line = Line(*(busy(503, "9") for _ in range(9)))
    with pytest.raises(ServiceError) as e:
        line.wire.json("GET", "/sweeps")
    assert e.value.status == 503
    assert line.waited == [9.0, 9.0, 9.0]
    line = Line(busy(429, "3600"))
    with pytest.raises(ServiceError):
        line.wire.json("GET", "/sweeps")
    line = Line(busy(429), patience_s=0)
    with pytest.raises(ServiceError):
        line.wire.json("GET", "/sweeps")
    assert line.waited == []


def test_a_stream_is_not_asked_again() -> None:
    """Whoever follows events has another way, and takes it at once."""
    line = Line(busy(503), fine())
    with (
        pytest.raises(ServiceError, match="not now"),
        line.wire.stream("/sweeps/a/events", read_s=1.0),
    ):
        pass
    assert line.waited == []

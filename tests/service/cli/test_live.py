"""Watching: it ends when it must, shows no rate of arrivals, and never waits in a test."""

import io
import itertools
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rich.console import Console

from service.cli.live import watch
from service.client import Client, ServiceUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator


def progress(ended: int, settled: int, state: str = "running", **more: Any) -> dict[str, Any]:
    """Of 100 trials an arm; every trial that arrived so far succeeded."""
    arms = [
        {
            "name": name,
            "trials": 100,
            "running": 0,
            "ended": ended,
            "errored": 0,
            "cancelled": 0,
            "settled": {
                "trials": settled,
                "successes": [
                    {
                        "metric": "accuracy", "comparison": "at_least", "threshold": t,
                        "at": "end", "primary": t == 0.9, "successes": settled // 5,
                        "anytime": [0.1, 0.34] if settled else None,
                    }
                    for t in (0.95, 0.9)
                ],
            },
        }
        for name in ("plain", "[bold]noisy")
    ]  # fmt: skip
    cohorts = {"total": 4, "settled": settled // 25}
    evidence = {
        "arm": "[bold]noisy", "against": "plain", "primary": True, "metric": "accuracy",
        "comparison": "at_least", "threshold": 0.9, "at": "end", "pairs": settled,
        "difference": 0.125, "log_e": 2.5, "p": 0.0821, "interval": [-0.01, 0.26],
    } if settled else {}  # fmt: skip
    more = {
        "stop": None,
        "evidence": [evidence, evidence | {"arm": "other", "primary": False}],
    } | more
    total = {"trials": 200, "ended": 2 * ended, "running": 0, "eta_s": None, "reason": None}
    return total | {"state": state, "cohorts": cohorts, "arms": arms} | more


class Service:
    """Gives one progress after another; an exception stands for a service that is away."""

    def __init__(self, *states: dict[str, Any] | None) -> None:
        self._states: Iterator[dict[str, Any] | None] = iter(states)
        self._last: dict[str, Any] | None = None

    def client(self) -> Client:
        """A client that speaks to it."""
        return Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/progress"):
            self._last = next(self._states)
            if self._last is None:
                raise httpx.ConnectError("away", request=request)
            return httpx.Response(200, json=self._last)
        state = {} if self._last is None else self._last
        return httpx.Response(200, json={"id": "s", "name": "n", "state": state.get("state")})


def look(service: Service, *, terminal: bool = False, step_s: float = 1.0) -> tuple[Any, str]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    ticks = itertools.count(0, step_s)
    ended = watch(
        service.client(), "s", console, clock=lambda: next(ticks), wait=lambda _seconds: None
    )
    return ended, out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_it_returns_the_sweep_once_it_has_finished(*, terminal: bool) -> None:
    states = progress(10, 0), progress(100, 100, "finished")
    ended, text = look(Service(*states), terminal=terminal)
    assert ended["state"] == "finished"
    assert "20 of 100  20.0 %" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_no_rate_is_shown_of_arrivals(*, terminal: bool) -> None:
    """90 trials an arm have arrived, none is settled: there is no rate to show."""
    states = progress(90, 0), progress(95, 0, "cancelled")
    _, text = look(Service(*states), terminal=terminal)
    assert "180 of 200 trials ended" in text
    assert "0 of 4 cohorts settled" in text
    for line in text.splitlines():
        assert "%" not in line or "trials ended (" in line  # how far, not how well


def test_a_table_says_what_its_rates_are_of_and_where_intervals_come_from() -> None:
    _, text = look(Service(progress(100, 100, "finished")), terminal=True)
    assert "Rates are of settled seeds only; intervals in brackets hold at any look." in text
    assert "accuracy >= 0.9" in text
    assert "20 of 100  20.0 % [10.0, 34.0]" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_evidence_is_shown_at_every_look(*, terminal: bool) -> None:
    rule = {"when": ["evidence", "futile"], "alpha": 0.05, "effect": 0.1, "stopped": None}
    states = (progress(n, 25, stop=rule) for n in (40, 100))
    _, text = look(Service(*states, progress(100, 100, "finished", stop=rule)), terminal=terminal)
    assert "[bold]noisy - plain +12.5 points [-1.0, +26.0], e-value 12.2, p 0.0821" in text
    if terminal:
        assert "other - plain +12.5 points [-1.0, +26.0], e-value 12.2, p 0.0821 (expl" in text
        wait = "stops at an e-value of 20, or once a difference of 10 points is ruled out"
        assert wait in text


@pytest.mark.parametrize("terminal", [False, True])
def test_it_says_when_and_why_a_sweep_stopped(*, terminal: bool) -> None:
    rule = {"when": ["futile"], "alpha": 0.05, "effect": 0.1}
    going = progress(10, 25, stop=rule | {"stopped": None})
    over = progress(100, 75, "finished", stop=rule | {"stopped": {"when": "futile", "cohort": 3}})
    _, text = look(Service(going, over), terminal=terminal)
    assert "stopped as futile after cohort 3 of 4" in text


def test_an_arm_is_printed_as_it_is_named() -> None:
    """Brackets in a name are no markup."""
    _, text = look(Service(progress(100, 100, "finished")), terminal=True)
    assert "[bold]noisy" in text


def test_without_a_terminal_lines_are_few() -> None:
    """A line for each 5 % or 10 s: here 1 % and 1 s a poll."""
    states = [progress(n, 0) for n in range(50)]
    _, text = look(Service(*states, progress(100, 100, "finished")), step_s=0.01)
    assert len(text.splitlines()) == 11  # the first, nine of 5 %, the last


def test_without_a_terminal_a_standstill_still_gives_a_line_every_ten_seconds() -> None:
    states = [progress(1, 0) for _ in range(30)]
    _, text = look(Service(*states, progress(1, 0, "cancelled")))
    assert 3 <= len(text.splitlines()) <= 12


def test_a_pause_by_the_service_ends_the_watch_and_one_by_a_person_does_not() -> None:
    by_person = progress(1, 0, "paused")
    by_service = progress(1, 0, "paused", reason="code_changed")
    service = Service(by_person, by_person, by_service)
    ended, _ = look(service)
    assert ended["state"] == "paused"
    assert service._last == by_service


def test_a_service_that_restarts_is_waited_for() -> None:
    service = Service(progress(1, 0), None, None, progress(100, 100, "finished"))
    ended, text = look(service)
    assert ended["state"] == "finished"
    assert "does not answer at present" in text


def test_a_service_that_stays_away_is_given_up() -> None:
    with pytest.raises(ServiceUnreachableError):
        look(Service(progress(1, 0), *[None] * 60))


class Telling(Service):
    """Tells of its states in a stream, which may break off; asked, it gives the next."""

    def __init__(self, streams: list[list[dict[str, Any]]], *states: dict[str, Any] | None) -> None:
        super().__init__(*states)
        self._streams = streams
        self.asked = 0

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/progress"):
            self.asked += 1
        if not request.url.path.endswith("/events"):
            return super()._answer(request)
        if not self._streams:
            return httpx.Response(503, json={"title": "Not available now"})
        said = self._streams.pop(0)
        self._last = said[-1]
        text = ": Seedbed\nretry: 2000\n\n"
        text += "".join(f"event: progress\ndata: {json.dumps(each)}\n\n" for each in said)
        if said[-1]["state"] == "finished":
            text += "event: end\ndata: {}\n\n"
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=text)


@pytest.mark.parametrize("terminal", [False, True])
def test_what_the_service_tells_is_shown_and_nothing_is_asked(*, terminal: bool) -> None:
    told = [progress(30, 0), progress(100, 100, "finished")]
    service = Telling([told], progress(10, 0))
    ended, text = look(service, terminal=terminal)
    assert ended["state"] == "finished"
    assert service.asked == 1
    assert "20 of 100  20.0 %" in text
    assert "not live" not in text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_stream_that_breaks_is_made_up_for_by_asking(*, terminal: bool) -> None:
    """Until it is there again; a table says so, a log does not."""
    asked = [progress(n, 0) for n in (10, 31, 32, 33, 34, 35)]
    again = [progress(60, 50), progress(100, 100, "finished")]
    service = Telling([[progress(30, 0)], again], *asked)
    ended, text = look(service, terminal=terminal, step_s=5.0)
    assert ended["state"] == "finished"
    assert 2 <= service.asked < 7
    assert ("not live: asking every second" in text) is terminal


def test_the_service_pausing_ends_the_watch_of_a_stream_too() -> None:
    service = Telling([[progress(1, 0, "paused", reason="code_changed")]], progress(1, 0))
    ended, _ = look(service)
    assert ended["state"] == "paused"

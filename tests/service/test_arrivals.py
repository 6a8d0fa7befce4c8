"""Looking does not cheat: no surface tells successes from failures before their cohort is settled.

Two worlds agree in every settled outcome and in which trials have arrived since. In one all of the
arrivals are instant successes that left, in the other slow failures. Whoever looks sees the same.
"""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.cli.live import told
from service.client import Client
from service.store import claims, classes, release, sweeps
from service.store.engine import open_engine, session_factory, upgrade
from tests.service.samples import NUMERICS, moment, outcome, spec
from tests.service.serving import Served, serving
from workers.messages import Assignment, Failure, Outcome

SWEEP = "5eedbed" + "0" * 16
API = f"/api/v1/sweeps/{SWEEP}"
FILTERS = (
    *(f"success={won}&criterion={k}" for won in ("true", "false") for k in (0, 1)),
    *(f"end_state={s}" for s in ("finished", "left", "diverged", "errored", "cancelled")),
    "arm=noisy",
    "cell=1",
)
PATHS = (
    "/api/v1/sweeps",
    API,
    f"{API}/progress",
    f"{API}/trials",
    *(f"{API}/trials?{query}" for query in FILTERS),
    f"{API}/audit",
    f"{API}/replays",
    # settled, arrived, errored, running
    *(f"/api/v1/trials/{trial}{x}" for trial in (1, 9, 11, 12) for x in ("", "/weights", "/curve")),
    *(f"{API}/report?format={f}" for f in ("json", "markdown", "csv", "latex", "html", "parquet")),
    *(f"{API}/report?format=svg&figure={figure}" for figure in ("difference", "survival")),
    *(f"{API}/report?format=png&figure={figure}" for figure in ("rates", "courses", "cells")),
    "/",
    f"/sweeps/{SWEEP}",
    "/fragments/sweeps",
    f"/fragments/sweeps/{SWEEP}",
    f"/fragments/sweeps/{SWEEP}/findings",
)
COMMANDS = (
    ("list",),
    ("list", "--json"),
    ("show", SWEEP),
    ("show", SWEEP, "--json"),
    ("watch", SWEEP),
    ("report", SWEEP),
)


def success(task: Assignment) -> Outcome:
    """One that left at once."""
    return outcome(task, 0.95, end_state="left", steps=100)


def failure(task: Assignment) -> Outcome:
    """One that trained to its end, or diverged."""
    if task.seed % 2:
        return outcome(task, end_state="diverged", steps=50, metrics={})
    return outcome(task, 0.2)


def happen(served: Served, arrive: Callable[[Assignment], Outcome]) -> list[Assignment]:
    """The first cohort settles; then 10 of 16 trials arrive, one is errored, others train on."""
    submitted = spec(
        leave="at_success",
        success=spec()["success"] | {"at": "any"},
        primary={"arm": "noisy", "against": "plain", "threshold": 0.9},
    )
    with Client(served.url) as client:
        assert client.submit(submitted)["id"] == SWEEP
    served.train(8)
    with session_factory(served.engine).begin() as session:
        tasks = claims.claim(session, SWEEP, 0, 16, worker="w", now=moment(1))
    arrived = [t for t in tasks if t.trial % 7 < 4]
    assert len(arrived) == 10
    lost = next(t for t in tasks if t not in arrived)
    broken = Failure(lost.trial, lost.attempt, "boom", "trace")
    served.complete([broken, *(arrive(t) for t in arrived)], max_attempts=1)
    return [t for t in tasks if t not in (*arrived, lost)]


def blind(text: str) -> str:
    """Without a request's own name, the time of day and what is reckoned from it."""
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00| UTC)?", "TIME", text)
    text = re.sub(r"(?m)^.*request_id=.*\n", "", text)  # the service's log, of this process too
    text = re.sub(r'"request_id":"\w+"', '"request_id":"ID"', text)
    text = re.sub(r'"eta_s": ?[\d.]+', '"eta_s": ETA', text)
    text = re.sub(r'"eta_interval_s": ?\[[^]]+\]', '"eta_interval_s": ETA', text)
    text = re.sub(r"about [\d.]+ (s|min|h|days) left( \([^)]+\))?", "about ETA left", text)
    return re.sub(r'"seconds": ?[\d.]+|finished, \d+ s|cancelled, \d+ s', "TOOK", text)


def seen(served: Served, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Everything that anybody can look at."""
    found = {}
    for path in PATHS:
        reply = httpx.get(served.url + path, trust_env=False, timeout=120)
        assert reply.status_code in (200, 404), (path, reply.text)
        found[path] = reply.text
    with Client(served.url) as client:
        events = itertools.islice(client.events(SWEEP), 2)  # of one that runs the rest is to come
        found["events"] = "\n".join(f"{event.name}: {event.data}" for event in events)
    for command in COMMANDS:
        polls = itertools.count()

        def wait(_seconds: float, polls: "itertools.count[int]" = polls) -> None:
            if next(polls):
                raise KeyboardInterrupt

        def listen(client: Client, sweep: str) -> Iterator[Mapping[str, Any]]:
            return itertools.islice(told(client, sweep), 1)

        monkeypatch.setattr(
            "service.cli.live.watch.__kwdefaults__",
            {"clock": itertools.count(0, 100).__next__, "wait": wait, "listen": listen},
        )
        said = CliRunner().invoke(app, [*command, "--url", served.url])
        assert said.stdout, (command, said.output)
        found[" ".join(command)] = said.stdout
    return {name: blind(text) for name, text in found.items()}


@contextlib.contextmanager
def world(folder: Path) -> Iterator[Served]:
    """A served store of its own."""
    folder.mkdir()
    engine = open_engine(f"sqlite:///{folder / 'store.db'}")
    upgrade(engine)
    with serving(engine, folder) as served:
        yield served
    engine.dispose()


@pytest.fixture
def worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Served, Served]]:
    """Two of them, in which the sweep has the same id."""
    monkeypatch.setattr(sweeps, "new_id", lambda: SWEEP)
    with world(tmp_path / "one") as one, world(tmp_path / "other") as other:
        yield one, other


def test_whoever_looks_sees_the_same_whether_arrivals_succeeded_or_failed(
    worlds: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = worlds
    happen(one, success)
    happen(other, failure)
    lucky, unlucky = seen(one, monkeypatch), seen(other, monkeypatch)
    for name, text in lucky.items():
        assert text == unlucky[name], name
    assert "19 of 24 trials ended" in lucky["watch " + SWEEP]
    assert "plain 2 of 4  50.0 %" in lucky["watch " + SWEEP]
    assert lucky[f"{API}/trials"].count('"arrived"') == 10


def test_a_criterion_that_is_added_tells_nothing_of_arrivals(
    worlds: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is judged for them at once, and its counts are shown of settled cohorts only."""
    for served, arrive in zip(worlds, (success, failure), strict=True):
        happen(served, arrive)
        with Client(served.url) as client:
            looser = {"metric": "test_accuracy", "at_least": 0.3, "at": "any"}
            client.add_criteria(SWEEP, looser)
    lucky, unlucky = (seen(served, monkeypatch) for served in worlds)
    assert "post hoc, version 2" in lucky[f"{API}/report?format=markdown"]
    for name, text in lucky.items():
        assert text == unlucky[name], name


def test_a_cancelled_sweep_keeps_what_never_settled_to_itself(
    worlds: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its arrivals are those that were quick: a rate of them would mislead for ever."""
    for served, arrive in zip(worlds, (success, failure), strict=True):
        running = happen(served, arrive)
        with Client(served.url) as client:
            client.cancel(SWEEP)
        with session_factory(served.engine).begin() as session:
            release.hand_back(session, [(t.trial, t.attempt) for t in running], now=moment(61))
    lucky, unlucky = (seen(served, monkeypatch) for served in worlds)
    assert '"state":"cancelled"' in lucky[API]
    for name, text in lucky.items():
        assert text == unlucky[name], name


def stop(served: Served, arrive: Callable[[Assignment], Outcome]) -> None:
    """Evidence ends the sweep after one cohort, when some of the next have arrived."""
    submitted = spec(
        leave="at_success",
        success=spec()["success"] | {"at": "any"},
        primary={"arm": "noisy", "against": "plain", "threshold": 0.9},
        stop={"when": "evidence", "alpha": 0.4},
    )
    with Client(served.url) as client:
        assert client.submit(submitted)["id"] == SWEEP
    with session_factory(served.engine).begin() as session:
        classes.pin(session, SWEEP, NUMERICS)
        tasks = claims.claim(session, SWEEP, 0, 16, worker="w", now=moment(1))
    first, second = tasks[:8], tasks[8:]
    served.complete([arrive(t) for t in second[:3]], max_attempts=1)
    served.complete(
        [outcome(t, 0.95 if t.values["noise_eta"] else 0.2) for t in first], max_attempts=1
    )
    served.complete([arrive(t) for t in second[3:5]], max_attempts=1)
    with session_factory(served.engine).begin() as session:
        release.hand_back(session, [(t.trial, t.attempt) for t in second[5:]], now=moment(61))


def test_a_stopped_sweep_keeps_what_came_later_to_itself(
    worlds: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report too is the same: later outcomes stand outside the findings."""
    for served, arrive in zip(worlds, (success, failure), strict=True):
        stop(served, arrive)
    lucky, unlucky = (seen(served, monkeypatch) for served in worlds)
    assert '"stopped":{"when":"evidence","cohort":1}' in lucky[API]
    assert "stopped by evidence after cohort 1 of 3" in lucky["show " + SWEEP]
    assert '"state":"finished"' in lucky[API]
    assert lucky[f"{API}/trials"].count('"arrived"') == 5
    for name, text in lucky.items():
        assert text == unlucky[name], name


def test_once_settled_the_two_worlds_differ_everywhere_that_shows_outcomes(
    worlds: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the tests above would show nothing."""
    for served, arrive in zip(worlds, (success, failure), strict=True):
        served.complete([outcome(t, 0.6) for t in happen(served, arrive)], max_attempts=1)
    lucky, unlucky = (seen(served, monkeypatch) for served in worlds)
    same = {name for name, text in lucky.items() if text == unlucky[name]}
    telling = {
        "events",
        API,
        f"{API}/progress",
        f"{API}/trials",
        f"/sweeps/{SWEEP}",
        f"show {SWEEP}",
    }
    assert not same & telling
    assert f"{API}/trials?end_state=left" not in same
    assert "arrived" not in lucky[f"{API}/trials"]

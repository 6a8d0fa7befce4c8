"""/metrics: every metric is named in docs/observability.md, and costs nothing a trial."""

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, event

from service.configuration import Configuration
from service.observe import standing as standing_module
from service.observe.dispatching import DispatchMetrics
from service.observe.exposition import exposition, new_registry
from service.observe.standing import StoreStanding
from service.processes.binding import PortTakenError
from service.processes.metrics import own_metrics
from service.store.engine import reading_factory, session_factory
from service.store.figures import figures
from tests.benchmarks.stub.history import finish
from tests.service.api.conftest import Served, anyio_backend, api, served
from tests.service.api.test_routes import submit, train
from tests.service.store.test_conformance import create

pytestmark = pytest.mark.anyio
__all__ = ["anyio_backend", "api", "served"]

DOCUMENTED = Path("docs/observability.md").read_text()
WATCHED = "".join(
    Path("deploy/observe", name).read_text() for name in ("alerts.yml", "grafana/seedbed.json")
)


async def scraped(api: httpx.AsyncClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of /metrics, by name and labels."""
    reply = await api.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """A sample's key."""
    return f"seedbed_{name}", frozenset(labels.items())


async def test_trials_and_sweeps_are_told_by_state(api: httpx.AsyncClient, served: Served) -> None:
    sweep = (await submit(api))["id"]
    await submit(api)
    train(served, sweep, 5, failing=1)
    found = await scraped(api)
    assert found[of("sweeps", state="running")] == found[of("sweeps", state="waiting")] == 1
    assert found[of("trials", state="finished")] == 4
    assert found[of("trials", state="errored")] == 1
    assert found[of("trials", state="waiting")] == 2 * 24 - 5
    assert found[of("claimable_trials")] > 0
    assert found[of("queue_age_seconds")] >= 0
    assert (found[of("store_up")], found[of("dispatcher_up")]) == (1, 1)


async def test_requests_are_told_by_template_and_never_by_path(api: httpx.AsyncClient) -> None:
    sweep = (await submit(api))["id"]
    for path in (f"/api/v1/sweeps/{sweep}", "/api/v1/sweeps/nobody", "/nowhere", f"/{sweep}"):
        await api.get(path)
    await api.request("BREW", "/")
    found = await scraped(api)
    labels = {"method": "GET", "route": "/api/v1/sweeps/{sweep}"}
    assert found[of("request_duration_seconds_count", **labels, status="200")] == 1
    assert found[of("request_duration_seconds_count", **labels, status="404")] == 1
    none = {"method": "GET", "route": "none", "status": "404"}
    assert found[of("request_duration_seconds_count", **none)] == 2
    assert not [key for key in found if any(sweep in value for _, value in key[1])]
    assert {value for _, each in found for name, value in each if name == "method"} == {
        "GET", "POST", "other"
    }  # fmt: skip


async def test_a_store_that_is_away_fails_no_scrape(
    api: httpx.AsyncClient, served: Served, sqlite: Engine
) -> None:
    with sqlite.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE sweeps RENAME TO gone")
    found = await scraped(api)
    assert (found[of("store_up")], found[of("dispatcher_up")]) == (0, 0)
    assert not [name for name, _ in found if name == "seedbed_trials"]


def test_figures_read_no_trial(sqlite: Engine) -> None:
    """The same few statements for 24 trials and for 100,000, none of which goes through them."""
    sessions = session_factory(sqlite)
    statements: list[str] = []
    event.listen(sqlite, "before_cursor_execute", lambda *a: statements.append(a[2]))
    counts = []
    for seeds in (6, 25_000):
        sweep = create(sessions, seeds=seeds, cohort=seeds // 2)
        finish(sqlite, sweep, 1)
        statements.clear()
        with reading_factory(sqlite)() as session:
            found = figures(session)
        counts.append(len(statements))
        assert all("trials" not in s.partition("FROM")[2] for s in statements), statements
    assert counts[0] == counts[1] <= 5
    assert found.trials["finished"] == 12 + 50_000


def names(text: str) -> set[str]:
    """Metrics of ours that a text names, without what a histogram adds."""
    found = set(re.findall(r"\bseedbed_[a-z_]+\b", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


async def test_every_metric_is_documented_and_every_documented_one_exists(
    api: httpx.AsyncClient, served: Served
) -> None:
    await submit(api)
    DispatchMetrics(served.app.state.metrics)
    text = (await api.get("/metrics")).text
    exist = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(text)
    }
    ours = {name for name in exist if name.startswith("seedbed_")}
    assert ours == names(DOCUMENTED)
    assert names(WATCHED) <= ours


def test_a_dispatchers_metrics_have_a_port_of_their_own_if_one_is_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry = new_registry()
    DispatchMetrics(registry)
    with own_metrics(Configuration(metrics_port=0), registry):
        url = capsys.readouterr().err.split()[-1]
        reply = httpx.get(url, timeout=60)
        assert names(reply.text) == names(exposition(registry).decode()) != set()
        taken = int(url.rpartition(":")[2].partition("/")[0])
        with (
            pytest.raises(PortTakenError, match="SEEDBED_METRICS_PORT"),
            own_metrics(Configuration(metrics_port=taken), registry),
        ):
            pass
    with own_metrics(Configuration(), registry):
        assert capsys.readouterr().err == ""


def test_what_was_read_is_good_for_a_while(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many scrape, the store is asked once in some seconds."""
    monkeypatch.setattr(standing_module, "FRESH_S", 600.0)
    standing = StoreStanding(reading_factory(sqlite), lambda: True)
    statements: list[str] = []
    event.listen(sqlite, "before_cursor_execute", lambda *a: statements.append(a[2]))
    first = list(standing.collect())
    asked = len(statements)
    assert list(standing.collect()) == first
    assert len(statements) == asked > 0

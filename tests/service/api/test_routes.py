"""Every route, over a real store."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.disk import POINT, RESULT, SUCCESS, TRIAL, disk_bytes
from service.api.reports import FORMATS
from service.evidence.pairs import Pairs
from service.evidence.sequential import (
    difference_sequence,
    log_e_paired,
    p_anytime,
    rate_sequence,
)
from service.report.figures.catalogue import NAMES
from service.store import claims, classes, completion, sweeps
from tests.service.api.conftest import Served
from tests.service.samples import NUMERICS, moment, outcome, plan, spec
from workers.messages import Failure

pytestmark = pytest.mark.anyio


async def submit(api: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    """A sweep, submitted."""
    reply = await api.post("/api/v1/sweeps", json=spec(**changes))
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    return body


def train(served: Served, sweep: str, limit: int = 1000, *, failing: int = 0) -> None:
    """Ends trials as a dispatcher would."""
    with served.writing.begin() as session:
        assert classes.pin(session, sweep, NUMERICS)
        taken = claims.claim(session, sweep, 0, limit, worker="w", now=moment(1))
        completion.complete(
            session,
            outcomes=[outcome(t) for t in taken[failing:]],
            failures=[Failure(t.trial, t.attempt, "Boom", "Trace") for t in taken[:failing]],
            dropped=(),
            numerics_id=classes.class_id(NUMERICS),
            max_attempts=1,
            now=moment(2),
        )


async def test_a_sweep_is_created_listed_shown_and_wakes_the_dispatcher(
    api: httpx.AsyncClient, served: Served
) -> None:
    made = await submit(api)
    assert served.woken == 1
    assert made["trials"] == 24
    shown = (await api.get(f"/api/v1/sweeps/{made['id']}")).json()
    assert shown["spec"]["cohort"] == 2
    assert shown["state"] == "waiting"
    more = [await submit(api) for _ in range(2)]
    page = (await api.get("/api/v1/sweeps?limit=2")).json()
    assert [s["id"] for s in page["items"]] == [more[1]["id"], more[0]["id"]]
    rest = (await api.get(f"/api/v1/sweeps?limit=2&after={page['next']}")).json()
    assert [s["id"] for s in rest["items"]] == [made["id"]]
    assert rest["next"] is None


async def test_a_dry_run_counts_and_stores_nothing(api: httpx.AsyncClient) -> None:
    reply = await api.post("/api/v1/sweeps?dry_run=true", json=spec())
    assert reply.status_code == 200
    body = reply.json()
    counts = {k: body[k] for k in ("trials", "cells", "settings", "structures", "cohorts", "packs")}
    assert counts == {
        "trials": 24, "cells": 4, "settings": 2, "structures": 1, "cohorts": 3, "packs": 1
    }  # fmt: skip
    memory = body["memory"]
    lane = memory["lane_held_bytes"] + memory["lane_training_bytes"]
    assert 2**10 < memory["lane_held_bytes"] < memory["lane_training_bytes"] < 2**27
    assert memory["pack_bytes"] == body["lanes"] * lane
    assert (await api.get("/api/v1/sweeps")).json()["items"] == []


async def test_a_dry_run_tells_power_and_that_its_time_was_never_measured(
    api: httpx.AsyncClient,
) -> None:
    body = (await api.post("/api/v1/sweeps?dry_run=true", json=spec())).json()
    assert body["power"] is None
    assert (body["time"]["basis"], body["time"]["seconds"]) == ("none", None)
    assert body["time"]["lane_steps"] == 24 * 200
    asked = spec(seeds=734, power={"baseline": 0.05, "effect": 0.03})
    body = (await api.post("/api/v1/sweeps?dry_run=true", json=asked)).json()
    assert body["power"]["pairs"] == body["power"]["pairs_wanted"] == 1468
    assert body["power"]["power"] >= 0.9
    assert (await api.get("/api/v1/sweeps")).json()["items"] == []


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_a_sweep_whose_data_no_worker_has_is_refused_with_the_cure(
    api: httpx.AsyncClient, served: Served, query: str
) -> None:
    served.lacking = {"mnist70k": "set SEEDBED_MNIST"}
    whole = spec(fixed={"data": "mnist70k"})
    reply = await api.post(f"/api/v1/sweeps{query}", json=whole)
    assert reply.status_code == 409
    assert "no worker has data set mnist70k" in reply.json()["detail"]
    assert reply.json()["cure"] == "set SEEDBED_MNIST"
    assert (await api.get("/api/v1/sweeps")).json()["items"] == []
    assert (await api.post(f"/api/v1/sweeps{query}", json=spec())).status_code in (200, 201)
    served.lacking, key = {}, {"Idempotency-Key": "k9"}
    made = await api.post("/api/v1/sweeps", json=whole, headers=key)
    served.lacking = {"mnist70k": "set SEEDBED_MNIST"}
    again = await api.post("/api/v1/sweeps", json=whole, headers=key)
    assert again.json()["id"] == made.json()["id"]


async def test_a_repeated_key_gives_the_same_sweep_and_another_body_409(
    api: httpx.AsyncClient,
) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await api.post("/api/v1/sweeps", json=spec(), headers=key)
    again = await api.post("/api/v1/sweeps", json=spec(), headers=key)
    other = await api.post("/api/v1/sweeps", json=spec(seeds=4), headers=key)
    assert first.json()["id"] == again.json()["id"]
    assert other.status_code == 409
    assert "new key" in other.json()["cure"]


async def test_a_sweep_is_paused_resumed_cancelled_and_deleted(api: httpx.AsyncClient) -> None:
    base = f"/api/v1/sweeps/{(await submit(api))['id']}"
    assert (await api.post(f"{base}/pause", json={})).json()["state"] == "paused"
    assert (await api.post(f"{base}/resume", json={})).json()["state"] == "waiting"
    assert (await api.delete(base)).status_code == 409
    assert (await api.post(f"{base}/cancel", json={})).json()["state"] == "cancelled"
    assert (await api.post(f"{base}/pause", json={})).status_code == 409
    assert (await api.delete(base)).status_code == 204
    assert (await api.get(base)).status_code == 404


async def test_a_sweep_paused_by_a_change_of_code_says_the_cure(
    api: httpx.AsyncClient, served: Served
) -> None:
    made = await submit(api)
    with served.writing.begin() as session:
        classes.pin(session, made["id"], NUMERICS)
        new = classes.know(session, NUMERICS | {"code": "two"})
        sweeps.pause(session, made["id"], reason=sweeps.CODE_CHANGED, offered_class=new)
    base = f"/api/v1/sweeps/{made['id']}"
    assert f"--accept-class {new}" in (await api.get(base)).json()["cure"]
    assert (await api.post(f"{base}/resume", json={})).status_code == 409
    body = (await api.post(f"{base}/pause", json={})).json()
    assert (body["reason"], body["offered_class"]) == (None, new)
    assert f"--accept-class {new}" in body["cure"]
    assert "by itself" not in body["cure"]  # as it is a user's pause now
    reply = await api.post(f"{base}/resume", json={"accept_class": new})
    assert reply.json()["classes"] == [classes.class_id(NUMERICS), new]


async def test_trials_are_paged_and_filtered(api: httpx.AsyncClient, served: Served) -> None:
    sweep = (await submit(api))["id"]
    train(served, sweep, 8, failing=1)
    base = f"/api/v1/sweeps/{sweep}/trials"
    page = (await api.get(f"{base}?limit=5")).json()
    rest = (await api.get(f"{base}?limit=5&after={page['next']}")).json()
    assert len(page["items"]) + len(rest["items"]) == 8
    noisy = (await api.get(f"{base}?arm=noisy")).json()["items"]
    assert {t["arm"] for t in noisy} == {"noisy"}
    errored = (await api.get(f"{base}?end_state=errored")).json()["items"]
    assert [t["error"] for t in errored] == ["Boom"]
    one = (await api.get(f"/api/v1/trials/{errored[0]['id']}")).json()
    assert one["traceback"] == "Trace"
    won = (await api.get(f"{base}?success=true&criterion=0")).json()["items"]
    assert {t["metrics"]["test_accuracy"]["final"] for t in won} == {0.95}
    assert (await api.get(f"{base}?success=true")).status_code == 422
    assert (await api.get("/api/v1/trials/99999")).status_code == 404


async def test_no_rate_or_success_of_arrivals_is_shown_anywhere(
    api: httpx.AsyncClient, served: Served
) -> None:
    """Instant successes and slow failures: until the cohort settles, nobody shows a success."""
    sweep = (await submit(api))["id"]
    with served.writing.begin() as session:
        classes.pin(session, sweep, NUMERICS)
        taken = claims.claim(session, sweep, 0, 16, worker="w", now=moment(1))
        completion.complete(
            session,
            outcomes=[outcome(t, 0.95) for t in taken if t.seed % 2 == 0],
            failures=(), dropped=(), numerics_id=classes.class_id(NUMERICS),
            max_attempts=1, now=moment(2),
        )  # fmt: skip
    progress = (await api.get(f"/api/v1/sweeps/{sweep}/progress")).json()
    assert progress["ended"] == 8
    for arm in progress["arms"]:
        assert arm["settled"]["trials"] == 0
        assert all(c["successes"] == 0 for c in arm["settled"]["successes"])
        assert "arrived" not in str(arm)
    report = (await api.get(f"/api/v1/sweeps/{sweep}/report")).json()["findings"]
    assert all(a["n"] == 0 and a["rate"] is None for c in report["criteria"] for a in c["arms"])
    for path in (f"/sweeps/{sweep}", "/", f"/api/v1/sweeps/{sweep}/report?format=markdown"):
        text = (await api.get(path)).text
        assert "100.0 %" not in text
        assert "50.0 %" not in text


async def test_progress_gives_evidence_of_settled_cohorts_and_lists_do_not(
    api: httpx.AsyncClient, served: Served
) -> None:
    """2 settings x 2 seeds settled; noisy wins 4 pairs of 4 at 0.9, and both win at 0.5."""
    sweep = (await submit(api, primary={"arm": "noisy", "against": "plain", "sided": "greater"}))[
        "id"
    ]
    none = (await api.get(f"/api/v1/sweeps/{sweep}/progress")).json()
    assert [(e["pairs"], e["p"], e["interval"]) for e in none["evidence"]] == [(0, None, None)] * 2
    with served.writing.begin() as session:
        classes.pin(session, sweep, NUMERICS)
        taken = claims.claim(session, sweep, 0, 8, worker="w", now=moment(1))
        completion.complete(
            session,
            outcomes=[outcome(t, 0.95 if t.values["noise_eta"] else 0.6) for t in taken],
            failures=(), dropped=(), numerics_id=classes.class_id(NUMERICS),
            max_attempts=1, now=moment(2),
        )  # fmt: skip
    found = (await api.get(f"/api/v1/sweeps/{sweep}/progress")).json()
    first, second = found["evidence"]
    assert (first["arm"], first["against"], first["threshold"]) == ("noisy", "plain", 0.9)
    assert (first["primary"], first["sided"], first["alpha"]) == (True, "greater", 0.05)
    assert first["table"] == {"both": 0, "only_a": 4, "only_b": 0, "neither": 0}
    assert (first["pairs"], first["difference"]) == (4, 1.0)
    assert first["log_e"] == pytest.approx(log_e_paired(4, 0, "greater"))
    assert first["p"] == pytest.approx(p_anytime(first["log_e"]))
    assert first["interval"] == pytest.approx(list(difference_sequence(Pairs(0, 4, 0, 0))))
    assert (second["primary"], second["sided"], second["table"]["both"]) == (False, "two", 4)
    plain = found["arms"][0]["settled"]["successes"]
    assert [c["anytime"] for c in plain] == [list(rate_sequence(0, 4)), list(rate_sequence(4, 4))]
    assert found["stop"] is None
    (listed,) = (await api.get("/api/v1/sweeps")).json()["items"]
    assert listed["progress"]["evidence"] is None
    assert listed["progress"]["arms"][0]["settled"]["successes"][0]["anytime"] is None


async def test_reports_come_in_every_format_under_a_name_and_with_their_hashes(
    api: httpx.AsyncClient, served: Served
) -> None:
    sweep = (await submit(api))["id"]
    for _ in range(3):
        train(served, sweep)
    base = f"/api/v1/sweeps/{sweep}/report"
    body = (await api.get(base)).json()
    assert set(body) == {"findings", "findings_hash", "run_log"}
    begins = {
        "json": b'{"findings"',
        "markdown": b"# small",
        "csv": b"metric,",
        "latex": b"% small",
        "html": b"<!doctype html>",
        "svg": b"<svg ",
        "png": b"\x89PNG",
        "parquet": b"PAR1",
        "bundle": b"PK",
    }
    assert begins.keys() == FORMATS.keys()
    for wanted, start in begins.items():
        reply = await api.get(f"{base}?format={wanted}")
        assert reply.status_code == 200, (wanted, reply.text)
        assert reply.content.startswith(start), wanted
        kind, ending = FORMATS[wanted]
        assert reply.headers["content-type"].split(";")[0] == kind
        name = f"{sweep}-rates" if wanted in ("svg", "png") else sweep
        assert f'filename="seedbed-{name}.{ending}"' in reply.headers["content-disposition"]
        if wanted != "parquet":
            assert reply.headers["x-seedbed-findings"] == body["findings_hash"]
            assert reply.headers["x-seedbed-bundle"] == body["run_log"]["bundle_hash"]
    assert len((await api.get(f"{base}?format=csv")).text.splitlines()) == 1 + 2 * 4
    wrong = await api.get(f"{base}?format=doc")
    assert wrong.status_code == 422
    assert "parquet" in wrong.json()["cure"]
    missing = await api.get("/api/v1/sweeps/nope/report?format=bundle")
    assert missing.status_code == 404


async def test_a_page_and_a_picture_carry_a_policy_that_lets_nothing_be_loaded(
    api: httpx.AsyncClient, served: Served
) -> None:
    sweep = (await submit(api))["id"]
    train(served, sweep)
    for wanted in ("html", "svg"):
        reply = await api.get(f"/api/v1/sweeps/{sweep}/report?format={wanted}")
        assert reply.headers["content-security-policy"].startswith("default-src 'none'")
        assert "script-src" not in reply.headers["content-security-policy"]


async def test_a_figure_is_chosen_by_name_and_what_is_not_drawn_says_why(
    api: httpx.AsyncClient, served: Served
) -> None:
    sweep = (await submit(api))["id"]
    for _ in range(3):
        train(served, sweep)
    base = f"/api/v1/sweeps/{sweep}/report"
    found = await api.get(f"{base}?format=svg&figure=ecdf")
    assert "test_accuracy" in found.text
    assert f"{sweep}-ecdf.svg" in found.headers["content-disposition"]
    unknown = await api.get(f"{base}?format=svg&figure=violin")
    assert unknown.status_code == 422
    for name in NAMES:
        assert name in unknown.json()["cure"]
    absent = await api.get(f"{base}?format=png&figure=survival")
    assert absent.status_code == 409
    assert "set success.at to any" in absent.json()["detail"]
    elsewhere = await api.get(f"{base}?format=json&figure=ecdf")
    assert elsewhere.status_code == 422
    assert "takes no figure" in elsewhere.json()["detail"]


async def test_experiments_and_presets_are_described(api: httpx.AsyncClient) -> None:
    names = [e["name"] for e in (await api.get("/api/v1/experiments")).json()["items"]]
    assert names == ["deep_mlp", "neural_gpu"]
    one = (await api.get("/api/v1/experiments/deep_mlp")).json()
    by_name = {h["name"]: h for h in one["hyper_parameters"]}
    assert by_name["depth"]["placement"] == "shared"
    assert by_name["noise_eta"]["placement"] == "per-lane"
    assert "did you mean 'deep_mlp'" in (await api.get("/api/v1/experiments/deep_mpl")).text
    for preset in (await api.get("/api/v1/presets")).json()["items"]:
        reply = await api.post("/api/v1/sweeps?dry_run=true", json=preset["spec"])
        assert reply.status_code == 200, reply.text
    assert (await api.get("/api/v1/presets/nope")).status_code == 404


async def test_probes_tell_alive_from_ready(api: httpx.AsyncClient, served: Served) -> None:
    assert (await api.get("/healthz")).json() == {"status": "alive"}
    assert (await api.get("/readyz")).status_code == 200
    served.health = type(served.health)(store=True, dispatcher=True, workers=0)
    assert (await api.get("/readyz")).status_code == 503


async def test_the_description_of_the_api_needs_no_network(api: httpx.AsyncClient) -> None:
    page = (await api.get("/docs")).text
    assert "/api/v1/sweeps/{sweep}/cancel" in page
    assert "//" not in page.replace("http://", "").replace("https://", "")
    assert (await api.get("/openapi.json")).json()["paths"]


async def test_a_fault_leaks_no_traceback(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("service.api.sweeps.sweeps.show", fault)
    reply = await api.get("/api/v1/sweeps/x")
    assert reply.status_code == 500
    assert "secret" not in reply.text


async def test_too_little_disk_is_refused_with_figures_and_stores_nothing(
    api: httpx.AsyncClient, served: Served
) -> None:
    served.free = 300 * 2**20
    reply = await api.post("/api/v1/sweeps", json=spec(seeds=1_000_000, cohort=50))
    assert reply.status_code == 507
    assert "300 MiB are free" in reply.json()["detail"]
    assert (await api.get("/api/v1/sweeps")).json()["items"] == []


def test_the_disk_estimate_follows_the_metrics_of_the_experiment() -> None:
    """And those that are measured only at the end take one point of the curve, not one each."""
    sizes = []
    for beyond in ([], [5], [5, 6, 7]):
        fixed = {"bits": 4, "beyond": beyond}
        success = {"metric": "digit_error@4", "at_most": 0.1}
        for expensive in ("end", "every"):
            made = plan(
                experiment="neural_gpu", fixed=fixed, grid={}, success=success,
                evaluate={"every": 1, "expensive": expensive},
            )  # fmt: skip
            sizes.append(disk_bytes(made) // made.trials)
    one = RESULT + POINT
    points = 1 + 200 // 50
    more = RESULT + points * POINT
    base = TRIAL + SUCCESS + 2 * more
    expected = [base, base, base + 2 * one, base + 2 * more, base + 6 * one, base + 6 * more]
    assert sizes == expected


def test_every_option_is_documented() -> None:
    from service.configuration import Configuration  # noqa: PLC0415 - beside its only use

    docs = Path(__file__).parents[3] / "docs"  # wherever the tests are started
    text = (docs / "configuration.md").read_text(encoding="utf-8")
    missing = [n for n in Configuration.model_fields if f"SEEDBED_{n.upper()}" not in text]
    assert not missing

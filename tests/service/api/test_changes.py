"""PATCH /sweeps/{id}: criteria are added, and what they may not be is refused with the reason."""

from typing import Any

import httpx
import pytest

from tests.service.api.conftest import Served
from tests.service.api.test_routes import submit, train

pytestmark = pytest.mark.anyio


def adding(*criteria: dict[str, Any]) -> dict[str, Any]:
    """The body of a PATCH."""
    return {"criteria": {"add": list(criteria)}}


LOOSE = {"metric": "test_accuracy", "at_least": 0.6}


async def test_a_criterion_that_is_added_is_in_progress_report_and_pages(
    api: httpx.AsyncClient, served: Served
) -> None:
    sweep = (await submit(api))["id"]
    path = f"/api/v1/sweeps/{sweep}"
    train(served, sweep, 16)
    before = (await api.get(f"{path}/report")).json()
    reply = await api.patch(path, json=adding(LOOSE))
    assert reply.status_code == 200, reply.text
    found = reply.json()
    assert found["criteria_version"] == 2
    added = found["progress"]["arms"][0]["settled"]["successes"][2]
    assert (added["threshold"], added["version"], added["post_hoc"]) == (0.6, 2, True)
    assert added["successes"] == 6  # of seeds 0 to 3 in two settings, all but seed 2
    after = (await api.get(f"{path}/report")).json()["findings"]
    assert after["criteria"][:2] == before["findings"]["criteria"]
    third = after["criteria"][2]
    assert (third["version"], third["post_hoc"], third["primary"]) == (2, True, False)
    assert third["arms"][0]["successes"] == 6
    assert after["outcomes_hash"] == before["findings"]["outcomes_hash"]
    text = (await api.get(f"{path}/report?format=markdown")).text
    assert "## test_accuracy >= 0.6 at the end (exploratory, post hoc, version 2)" in text
    assert "## test_accuracy >= 0.9 (primary)" in text
    csv = (await api.get(f"{path}/report?format=csv")).text
    assert "test_accuracy,at_least,0.6,end,0,2,1,plain" in csv
    assert "exploratory, post hoc, version 2" in (await api.get(f"/sweeps/{sweep}")).text
    train(served, sweep)
    finished = (await api.get(path)).json()["progress"]["arms"][1]["settled"]["successes"]
    assert [c["successes"] for c in finished] == [4, 8, 8]
    assert "version 2" in (await api.get(f"/fragments/sweeps/{sweep}/findings")).text
    again = await api.patch(path, json=adding(LOOSE | {"at": "any"}))
    assert again.status_code == 200
    assert "at any evaluation" in (await api.get(f"/fragments/sweeps/{sweep}/findings")).text


async def test_before_the_first_outcome_a_criterion_is_not_post_hoc(
    api: httpx.AsyncClient,
) -> None:
    sweep = (await submit(api))["id"]
    found = (await api.patch(f"/api/v1/sweeps/{sweep}", json=adding(LOOSE))).json()
    added = found["progress"]["arms"][0]["settled"]["successes"][2]
    assert (added["version"], added["post_hoc"]) == (2, False)


async def test_handling_is_given_at_submission_changed_later_and_moves_no_finding(
    api: httpx.AsyncClient, served: Served
) -> None:
    given = {"priority": 20, "labels": ["paper", "night run"], "note": "for the figure\nof June"}
    plain, other = await submit(api), await submit(api, **given)
    assert {key: other[key] for key in given} == given
    assert (plain["priority"], plain["labels"], plain["note"]) == (0, [], "")
    assert other["spec"] == plain["spec"]
    for sweep in (plain, other):
        train(served, sweep["id"])
    path = f"/api/v1/sweeps/{other['id']}"
    hashes = [(await api.get(f"/api/v1/sweeps/{s['id']}/report")).json() for s in (plain, other)]
    assert hashes[0]["findings_hash"] == hashes[1]["findings_hash"]
    changed = await api.patch(path, json={"priority": -5, "labels": ["x"]})
    assert changed.status_code == 200, changed.text
    now = changed.json()
    assert (now["priority"], now["labels"], now["note"]) == (-5, ["x"], given["note"])
    assert now["criteria_version"] == 1
    both = await api.patch(path, json=adding(LOOSE) | {"note": ""})
    assert (both.json()["criteria_version"], both.json()["note"]) == (2, "")


async def test_sweeps_are_found_by_label(api: httpx.AsyncClient, served: Served) -> None:
    one = (await submit(api, labels=["a", "b c"]))["id"]
    two = (await submit(api, labels=["a"]))["id"]
    await submit(api)

    async def found(query: str) -> list[str]:
        reply = await api.get(f"/api/v1/sweeps?{query}")
        assert reply.status_code == 200, reply.text
        return [item["id"] for item in reply.json()["items"]]

    assert await found("label=a") == [two, one]
    assert await found("label=b%20c") == [one]
    assert await found("label=b") == []
    assert (await api.get("/api/v1/sweeps?label=%00")).status_code == 422
    page = (await api.get("/?label=b%20c")).text
    assert one in page
    assert two not in page
    assert "with label b c" in page
    assert "b c" in (await api.get(f"/sweeps/{one}")).text


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ([], "body", "a change is a JSON object"),
        ({}, "body", "names what changes"),
        ({"criteria": {}}, "criteria.add", "it is required"),
        (adding(), "criteria.add", "at least 1"),
        ({"priority": 101}, "priority", "at most 100"),
        ({"priority": 1.5}, "priority", "whole number"),
        ({"labels": {}}, "labels", "must be a list"),
        ({"labels": ["a", "a"]}, "labels", "given once"),
        ({"labels": [""]}, "labels.0", "at least 1"),
        ({"note": None}, "note", "must be a text"),
        ({"owner": "ann"}, "owner", "there is no such key"),
        ({"seeds": 7}, "seeds", "what was submitted stays"),
        ({"primary": {}}, "primary", "what was submitted stays"),
        ({"criteria": {"remove": [LOOSE]}}, "criteria.remove", "so that none is hidden"),
        ({"criterio": {}}, "criterio", "there is no such key"),
        (adding(LOOSE | {"att": "end"}), "criteria.add.0.att", "there is no such key"),
        (adding(LOOSE | {"at": "start"}), "criteria.add.0.at", "one of end, any"),
        (adding(LOOSE | {"at_most": 0.1}), "criteria.add.0", "exactly one of"),
        (adding({"metric": "test_accuracy"}), "criteria.add.0", "exactly one of"),
        (adding(LOOSE | {"at_least": "1"}), "criteria.add.0.at_least", "must be a number"),
        (adding(LOOSE | {"at_least": 1.5}), "criteria.add.0.at_least", "between 0 and 1"),
        (adding(LOOSE | {"metric": "luck"}), "criteria.add.0.metric", "no such metric"),
        (adding(LOOSE, LOOSE), "criteria.add.1", "added once"),
        (
            adding({"metric": "test_accuracy", "at_most": 0.5}),
            "criteria.add.0.at_most",
            "higher is better",
        ),
    ],
)
async def test_a_change_that_breaks_a_rule_is_refused_by_name(
    api: httpx.AsyncClient, body: Any, field: str, words: str
) -> None:
    sweep = (await submit(api))["id"]
    reply = await api.patch(f"/api/v1/sweeps/{sweep}", json=body)
    assert reply.status_code == 422, reply.text
    problem = reply.json()
    assert problem["detail"].endswith("nothing was changed")
    assert words in {e["field"]: e["rule"] for e in problem["errors"]}[field]
    assert all(e["cure"] for e in problem["errors"])
    assert (await api.get(f"/api/v1/sweeps/{sweep}")).json()["criteria_version"] == 1


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ({"at": "end"}, "no end of their budget"),
        ({"at_least": 0.95}, "stricter threshold is not known"),
        ({"metric": "test_loss", "at_most": 0.1}, "what test_loss would have become"),
    ],
)
async def test_where_trials_leave_at_success_only_looser_thresholds_of_it_can_be_added(
    api: httpx.AsyncClient, criterion: dict[str, Any], words: str
) -> None:
    """Of what left nobody knows how it would have gone on (STATISTICS.md, 5.6)."""
    success = {"metric": "test_accuracy", "at_least": 0.9, "at": "any"}
    sweep = (await submit(api, success=success, leave="at_success"))["id"]
    base = {"metric": "test_accuracy", "at": "any"}
    body = base | ({} if "at_most" in criterion else {"at_least": 0.6}) | criterion
    reply = await api.patch(f"/api/v1/sweeps/{sweep}", json=adding(body))
    assert reply.status_code == 422, reply.text
    [problem] = [e for e in reply.json()["errors"] if words in e["rule"]]
    assert "test_accuracy at any" in problem["cure"]
    allowed = adding(base | {"at_least": 0.6})
    assert (await api.patch(f"/api/v1/sweeps/{sweep}", json=allowed)).status_code == 200


async def test_the_same_criterion_again_is_a_conflict_that_names_it(
    api: httpx.AsyncClient,
) -> None:
    sweep = (await submit(api))["id"]
    reply = await api.patch(
        f"/api/v1/sweeps/{sweep}", json=adding({"metric": "test_accuracy", "at_least": 0.5})
    )
    assert reply.status_code == 409
    assert "has the criterion test_accuracy >= 0.5 at end already" in reply.json()["detail"]
    missing = await api.patch("/api/v1/sweeps/nope", json=adding(LOOSE))
    assert missing.status_code == 404


async def test_a_finished_sweep_is_extended_and_the_same_request_again_adds_nothing(
    api: httpx.AsyncClient, served: Served
) -> None:
    sweep = (await submit(api))["id"]
    path = f"/api/v1/sweeps/{sweep}"
    early = await api.post(f"{path}/extend", json={"seeds": 8})
    assert early.status_code == 409
    assert "only a finished sweep is extended" in early.json()["detail"]
    train(served, sweep)
    train(served, sweep)
    first = (await api.get(f"{path}/report")).json()
    early_on = (await api.get(f"{path}/progress")).json()
    assert "Extended" not in (await api.get(f"/sweeps/{sweep}")).text
    woken = served.woken
    reply = await api.post(f"{path}/extend", json={"seeds": 8})
    assert reply.status_code == 200, reply.text
    assert served.woken > woken
    found = reply.json()
    assert (found["state"], found["trials"], found["spec"]["seeds"]) == ("waiting", 32, 8)
    assert found["progress"]["ended"] == 24
    assert (early_on["extended"], found["progress"]["extended"]) == (0, 1)
    again = await api.post(f"{path}/extend", json={"seeds": 8})
    assert (again.status_code, again.json()["trials"]) == (200, 32)
    train(served, sweep)
    report = (await api.get(f"{path}/report")).json()
    assert report["findings"]["first_plan"]["findings_hash"] == first["findings_hash"]
    assert report["run_log"]["first_plan_met_at"] == found["ended_at"] or found["ended_at"] is None
    text = (await api.get(f"{path}/report?format=markdown")).text
    assert "The sweep was extended: from 6 to 8 seeds a cell." in text
    assert "not valid after an extension" in text
    assert "At the first plan, 6 seeds a cell" in text
    assert "Interim" not in text
    for form in ("csv", "latex", "html"):
        assert (await api.get(f"{path}/report?format={form}")).status_code == 200, form
    assert (await api.get(f"/fragments/sweeps/{sweep}/findings")).status_code == 200
    shown = await api.get(f"/sweeps/{sweep}")
    assert shown.status_code == 200
    assert "Extended once: what holds at any look carries the claim" in shown.text


async def test_an_extension_needs_disk_and_data_as_a_submission_does(
    api: httpx.AsyncClient, served: Served
) -> None:
    sweep = (await submit(api))["id"]
    train(served, sweep)
    train(served, sweep)
    path = f"/api/v1/sweeps/{sweep}/extend"
    served.free = 1
    assert (await api.post(path, json={"seeds": 8})).status_code == 507
    assert (await api.post(path, json={"seeds": 6})).status_code == 200  # nothing is stored
    served.free, served.lacking = 10**15, {"mnist70k": "get it"}
    reply = await api.post(path, json={"arms": {"larger": {"data": "mnist70k"}}})
    assert reply.status_code == 409, reply.text
    served.lacking = {}
    body = {"budget": {"steps": 400}}
    refused = await api.post(path, json=body)
    assert refused.status_code == 422
    assert "estimand" in refused.json()["errors"][0]["rule"]

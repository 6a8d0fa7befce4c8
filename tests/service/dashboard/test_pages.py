"""The pages: whole without a script, escaped, of flat size; rates of settled seeds only."""

import re

import httpx
import pytest
from sqlalchemy.orm import Session, sessionmaker

from service.client import Client
from service.store import claims, classes, completion
from service.store.engine import session_factory
from tests.service.samples import NUMERICS, moment, outcome, spec
from tests.service.serving import Served
from workers.messages import Assignment, Failure, Outcome


def submit(served: Served, **changes: object) -> str:
    with Client(served.url) as client:
        found: str = client.submit(spec(**changes))["id"]
        return found


def page(served: Served, path: str) -> str:
    reply = httpx.get(served.url + path, trust_env=False, timeout=60)
    assert reply.status_code == 200, reply.text
    return reply.text


def words(html: str) -> str:
    """What a reader sees, without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_an_empty_list_says_how_to_start(served: Served) -> None:
    assert "seedbed submit --preset" in page(served, "/")


def test_the_list_shows_newest_first_and_pages_by_key(served: Served) -> None:
    ids = [submit(served, name=f"sweep {n}") for n in range(27)]
    first = page(served, "/")
    assert first.index("sweep 26") < first.index("sweep 25")
    assert "sweep 1<" not in first
    older = re.search(r'href="(/\?after=[^"]+)"', first)
    assert older is not None
    second = page(served, older[1])
    assert ids[0] in second
    assert ids[26] not in second


def test_names_from_outside_are_escaped_everywhere(served: Served) -> None:
    evil = '<script>alert("x")</script>'
    arms = {"plain": {"noise_eta": 0.0}, evil: {"noise_eta": 0.01}}
    primary = {"arm": evil, "against": "plain"}
    sweep = submit(served, name=evil, arms=arms, primary=primary)

    def break_(task: Assignment) -> Outcome | Failure:
        return outcome(task) if task.seed else Failure(task.trial, task.attempt, evil, evil)

    served.train_all(break_, max_attempts=1)
    paths = "/", f"/sweeps/{sweep}", f"/fragments/sweeps/{sweep}/findings"
    for path in paths:
        text = page(served, path)
        assert "alert(" not in text or "&lt;script&gt;" in text
        assert "<script>" not in text


def test_pages_keep_to_the_content_security_policy(served: Served) -> None:
    """No inline script, style or handler; nothing from another host."""
    sweep = submit(served)
    served.train(8)
    for path in ("/", f"/sweeps/{sweep}", "/docs"):
        text = page(served, path)
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_arrivals_give_no_rate(served: Served) -> None:
    """All trials of one cohort but the slow failures have arrived as successes: no rate yet."""
    sweep = submit(served)
    served.train(5, lambda task: outcome(task, 1.0))
    text = words(page(served, f"/sweeps/{sweep}"))
    assert "5 of 24 trials ended" in text
    assert "No cohort is settled yet" in text
    assert "%" not in text


def test_settled_cohorts_give_rates_and_what_holds_at_any_look(served: Served) -> None:
    """Seeds 0 and 1 are settled, half of them successes; seed 2 arrived as successes only."""
    sweep = submit(served)
    served.train(12, lambda task: outcome(task, 0.1 if task.seed == 1 else 0.95))
    text = words(page(served, f"/sweeps/{sweep}"))
    assert "12 of 24 trials ended" in text
    assert text.count("50.0 % 2 of 4") == 4  # 2 arms x 2 thresholds
    assert text.count("4 4 finished") == 2
    assert text.count("4.3 % to 95.7 %") == 4  # a uniform mixture's, at 2 of 4
    assert "Intervals hold at 95 % however often one looks" in text
    assert "noisy - plain primary test_accuracy &gt;= 0.9 4 +0.0 -71.0 to +71.0" in text
    assert "Wilson" not in text
    assert "McNemar" not in text


def test_a_sweep_that_stopped_says_where_and_what_carries_the_claim(served: Served) -> None:
    sweep = submit(served, seeds=20, stop={"when": "evidence"})
    rule = "at an e-value of 20, judged after each settled cohort but the last"
    assert rule in words(page(served, f"/sweeps/{sweep}"))
    served.train_all(lambda task: outcome(task, 0.95 if task.values["noise_eta"] else 0.1))
    text = words(page(served, f"/sweeps/{sweep}"))
    assert "Stopped by evidence after cohort 2 of 10 , as its stop rule says" in text
    assert "stopped by evidence after cohort 2 of 10" in words(page(served, "/"))
    found = words(page(served, f"/fragments/sweeps/{sweep}/findings"))
    assert "e-value 28.4" in found
    assert "noisy succeeds more often: the e-value reached 20" in found
    assert "95 % at any look" in found
    assert "Wilson" not in found
    assert "McNemar" not in found


def test_a_stop_rule_that_is_not_judged_again_after_an_extension_is_said_to_be_silent(
    served: Served,
) -> None:
    sweep = submit(served, seeds=20, stop={"when": "evidence"})
    served.train_all(lambda task: outcome(task, 0.95 if task.values["noise_eta"] else 0.1))
    with Client(served.url) as client:
        client.extend(sweep, seeds=30)
    text = words(page(served, f"/sweeps/{sweep}"))
    said = "stop rule stopped it by evidence after cohort 2, before it was extended, and is not"
    assert f"an e-value of 20; its {said} judged again" in text
    assert f"Its {said} judged again. Of settled cohorts" in text
    assert "judged after each settled cohort but the last" not in text
    assert "The sweep stops" not in text


def test_a_finished_sweep_shows_difference_interval_and_p(served: Served) -> None:
    sweep = submit(served, primary={"arm": "noisy", "against": "plain"})
    assert "not finished" in page(served, f"/fragments/sweeps/{sweep}/findings")
    served.train_all(lambda task: outcome(task, 0.95 if task.values["noise_eta"] else 0.1))
    found = words(page(served, f"/fragments/sweeps/{sweep}/findings"))
    assert "+100.0 points" in found
    assert "exact McNemar p 0.0005" in found
    whole = page(served, f"/sweeps/{sweep}")
    assert "data-ended" in whole
    for form in ("markdown", "csv", "json"):
        assert f"/api/v1/sweeps/{sweep}/report?format={form}" in whole


def test_findings_without_a_whole_pair_give_no_difference(served: Served) -> None:
    sweep = submit(served, primary={"arm": "noisy", "against": "plain"})

    def lost(task: Assignment) -> Outcome | Failure:
        noisy = task.values["noise_eta"] > 0
        return Failure(task.trial, task.attempt, "lost", "") if noisy else outcome(task)

    served.train_all(lost, max_attempts=1)
    found = words(page(served, f"/fragments/sweeps/{sweep}/findings"))
    assert "Not estimable" in found
    assert "No pair has both of its outcomes" in found
    assert "- points" not in found


def test_findings_of_a_sweep_that_ran_again_are_computed_anew(served: Served) -> None:
    """The worker was excluded: its trials came out otherwise elsewhere."""
    sweep = submit(served)
    served.train_all(lambda task: outcome(task, 0.95))
    path = f"/fragments/sweeps/{sweep}/findings"
    before = page(served, path)
    with Client(served.url) as client:
        client.exclude(sweep, "stand-in", "broken")
        assert "not finished" in page(served, path)
        with session_factory(served.engine).begin() as session:
            tasks = claims.claim(session, sweep, 0, 24, worker="other", now=moment(70))
            completion.complete(
                session,
                outcomes=[outcome(task) for task in tasks],
                failures=[],
                dropped=[],
                numerics_id=classes.class_id(NUMERICS),
                max_attempts=3,
                now=moment(90),
            )
        after, found = page(served, path), client.report(sweep)
    assert found["findings_hash"][:16] in after
    assert found["findings_hash"][:16] not in before


def test_findings_are_computed_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.dashboard import findings  # noqa: PLC0415 - its name is replaced here

    count = 0
    build = findings.build

    def counted(session: Session, sweep: str) -> object:
        nonlocal count
        count += 1
        return build(session, sweep)

    monkeypatch.setattr(findings, "build", counted)
    sweep = submit(served)
    served.train_all()
    for _ in range(3):
        page(served, f"/sweeps/{sweep}")
        page(served, f"/fragments/sweeps/{sweep}/findings")
    assert count == 1


def test_errored_trials_are_named_with_their_error(served: Served) -> None:
    sweep = submit(served)
    served.train_all(lambda t: Failure(t.trial, t.attempt, "boom", "tb"), max_attempts=1)
    text = page(served, f"/sweeps/{sweep}")
    assert text.count("<pre>boom</pre>") == 5
    assert "All 24 errored trials" in text
    assert f"/api/v1/sweeps/{sweep}/trials?end_state=errored" in text


def test_a_sweep_that_the_service_paused_says_why_and_what_to_do(served: Served) -> None:
    from service.store import classes, sweeps  # noqa: PLC0415 - only here

    sweep = submit(served)
    with session_factory(served.engine).begin() as session:
        offered = classes.know(session, {"code": "two"})
        sweeps.pause(session, sweep, reason=sweeps.CODE_CHANGED, offered_class=offered)
    text = words(page(served, f"/sweeps/{sweep}"))
    assert "Paused: code_changed" in text
    assert f"seedbed resume {sweep} --accept-class {offered}" in text


def test_a_page_is_as_large_for_many_trials_as_for_few(served: Served) -> None:
    """Cost and size follow arms x criteria, not trials."""
    few = page(served, f"/sweeps/{submit(served, seeds=2)}")
    many = page(served, f"/sweeps/{submit(served, seeds=2_000_000, cohort=1000)}")
    assert abs(len(many) - len(few)) < 200


def test_opening_a_page_takes_no_write_lock(served: Served) -> None:
    """Somebody else holds SQLite's write lock all the while; no page waits for it."""
    sweep = submit(served)
    served.train_all()
    writing: sessionmaker[Session] = session_factory(served.engine)
    with writing.begin() as session:
        session.connection()  # BEGIN IMMEDIATE
        for path in ("/", f"/sweeps/{sweep}", f"/fragments/sweeps/{sweep}"):
            assert httpx.get(served.url + path, trust_env=False, timeout=60).status_code == 200


def test_an_unchanged_fragment_is_not_sent_again(served: Served) -> None:
    sweep = submit(served)
    url = f"{served.url}/fragments/sweeps/{sweep}"
    tag = httpx.get(url, trust_env=False, timeout=60).headers["ETag"]
    same = httpx.get(url, headers={"If-None-Match": tag}, trust_env=False, timeout=60)
    assert (same.status_code, same.content) == (304, b"")
    served.train(1)
    assert (
        httpx.get(url, headers={"If-None-Match": tag}, trust_env=False, timeout=60).status_code
        == 200
    )


def test_an_unknown_sweep_and_file_are_not_found(served: Served) -> None:
    for path in ("/sweeps/nothing", "/static/nothing.js", "/static/..%2Fpages.py"):
        assert httpx.get(served.url + path, trust_env=False, timeout=60).status_code == 404
    assert (
        "there is no sweep"
        in httpx.get(f"{served.url}/sweeps/x", trust_env=False, timeout=60).text.lower()
    )

"""What people and spreadsheets read of a report."""

import csv
import io
import json

from sqlalchemy import Engine

from service.report.canonical import canonical, digest
from service.report.render import render_csv, render_markdown
from service.store.engine import session_factory
from tests.service.report.test_findings import claim, complete, create, report, undisturbed
from tests.service.samples import outcome
from workers.messages import Assignment, Failure, Outcome


def made(task: Assignment) -> Outcome:
    """Noisy succeeds at every seed, plain at seed 0 alone."""
    return outcome(task, 0.95 if task.values["noise_eta"] or task.seed == 0 else 0.2)


def test_markdown_says_first_what_was_found_and_how_sure_it_is(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    found = undisturbed(sessions, create(sessions), made)
    text = render_markdown(found)
    head = text[: text.index("##")]
    assert "**plain** 2 of 12 = 16.7 % [4.7 %, 44.8 %]" in head
    assert "**noisy** 12 of 12 = 100.0 %" in head
    assert "difference +83.3 points" in head
    assert "exact McNemar p = 0.0020 (two-sided)" in head
    assert "The interval lies above zero: noisy succeeds more often." in head
    assert "test_accuracy >= 0.9 (primary)" in text
    assert "test_accuracy >= 0.5 (exploratory)" in text
    assert found.findings_hash in text


def test_markdown_of_an_interim_report_makes_no_claim(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    complete(sessions, [made(t) for t in claim(sessions, sweep, 8)])
    text = render_markdown(report(sessions, sweep))
    assert "Interim" in text
    assert "Only 2 of 6 seeds a cell are settled" in text
    assert "p = " not in text
    assert "succeeds more often" not in text


def test_markdown_of_nothing_settled_says_not_estimable(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    text = render_markdown(report(sessions, create(sessions)))
    assert "not estimable (no settled trial)" in text
    assert "0.0 %" not in text


def test_markdown_withholds_the_claim_when_losses_could_turn_it(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)

    def lossy(task: Assignment) -> Outcome | Failure:
        noisy = task.values["noise_eta"] > 0
        if not noisy and task.seed > 2:
            return Failure(task.trial, task.attempt, "lost", "")
        return outcome(task, 0.95 if noisy and task.seed == 0 else 0.2)

    text = render_markdown(undisturbed(sessions, create(sessions), lossy))
    assert "**No claim**" in text
    assert "6 pairs miss an outcome; whatever those were, the difference lies between" in text


def test_csv_has_a_row_a_cell_and_criterion_with_the_findings_numbers(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    found = undisturbed(sessions, create(sessions), made)
    rows = list(csv.DictReader(io.StringIO(render_csv(found))))
    cells = [
        (c["threshold"], e["arm"], e["setting"]["learning_rate"], e["successes"], e["n"])
        for c in found.findings["criteria"]
        for e in c["cells"]
    ]
    assert cells == [
        (
            float(r["threshold"]),
            r["arm"],
            float(r["learning_rate"]),
            int(r["successes"]),
            int(r["n"]),
        )
        for r in rows
    ]
    assert all(float(r["low"]) <= float(r["rate"]) <= float(r["high"]) for r in rows)


def test_a_name_that_a_spreadsheet_would_run_stays_text(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    evil = "=cmd|' /C calc'!A0"
    arms = {"plain": {"noise_eta": 0.0}, evil: {"noise_eta": 0.01}}
    sweep = create(sessions, arms=arms, primary={"arm": evil, "against": "plain"})
    rows = list(csv.DictReader(io.StringIO(render_csv(undisturbed(sessions, sweep)))))
    assert {r["arm"] for r in rows} == {"plain", f"'{evil}"}


def test_canonical_json_is_blind_to_order_and_exact_in_floats() -> None:
    assert canonical({"b": 1, "a": [0.1, None]}) == b'{"a":[0.1,null],"b":1}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 0.1}) != digest({"a": 0.1 + 2**-55})
    assert json.loads(canonical({"a": 0.1 + 0.2}))["a"] == 0.1 + 0.2

"""What people and spreadsheets read of a report."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console
from rich.markdown import Markdown
from sqlalchemy import Engine

from service.report.canonical import canonical, digest
from service.report.markdown import render_markdown
from service.report.spreadsheet import render_csv
from service.spec import SpecError
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
    assert "noisy succeeds more often: interval and test agree." in head
    assert "test_accuracy >= 0.9 (primary)" in text
    assert "test_accuracy >= 0.5 (exploratory)" in text
    assert found.findings_hash in text


def test_the_run_log_says_what_a_success_took_of_a_device(sqlite: Engine) -> None:
    """24 trials by one worker, from the claim at 1 s to the end at 2 s; plain wins 1 in 6."""
    sessions = session_factory(sqlite)
    found = undisturbed(sessions, create(sessions), made)
    assert found.run_log["device_hours"] * 3600 == pytest.approx(1.0)
    shown = render_markdown(found)
    assert "At most 1 s of one device in all; a success took plain 0.25 s, noisy 0.042 s" in shown


def test_markdown_of_an_interim_report_makes_no_claim(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    complete(sessions, [made(t) for t in claim(sessions, sweep, 8)])
    text = render_markdown(report(sessions, sweep))
    assert "Interim" in text
    assert "Only 2 of 6 seeds a cell are settled" in text
    assert "exact McNemar p" not in text
    assert "succeeds more often" not in text
    assert "What holds at any look, of **noisy** against **plain** on 4 settled pairs" in text
    assert "anytime-valid p = " in text
    assert " at any look]" in text


def test_markdown_of_nothing_settled_says_not_estimable(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    text = render_markdown(report(sessions, create(sessions)))
    assert "not estimable (no settled trial has an outcome)" in text
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


NEURAL_GPU = {
    "experiment": "neural_gpu",
    "fixed": {"start_bits": 12},
    "grid": {"bits": [16]},
    "success": {"metric": "digit_error@16", "at_most": 0.1},
}


def test_markdown_of_settings_that_are_whole_only_with_the_grid(sqlite: Engine) -> None:
    """start_bits 12 is beyond the default bits; the grid's 16 make it right."""
    sessions = session_factory(sqlite)
    text = render_markdown(undisturbed(sessions, create(sessions, **NEURAL_GPU)))
    assert "digit\\_error" not in text
    assert "digit_error@16 <= 0.1 (primary)" in text
    assert "test set" not in text  # its examples are drawn


def test_markdown_names_the_test_set_that_the_claim_is_about(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    text = render_markdown(undisturbed(sessions, create(sessions), made))
    assert "a fixed test set (digits5k): the claim is about that test set" in text


def test_markdown_of_an_arm_that_errored_whole_still_counts_it(sqlite: Engine) -> None:
    """No pair has both outcomes: no difference, no interim, and nobody's count disappears."""
    sessions = session_factory(sqlite)

    def lost(task: Assignment) -> Outcome | Failure:
        if task.values["noise_eta"]:
            return Failure(task.trial, task.attempt, "lost", "")
        return outcome(task, 0.95)

    text = render_markdown(undisturbed(sessions, create(sessions), lost))
    assert "Interim" not in text
    assert "None" not in text
    assert "the difference is not estimable, because each of the 12 pairs misses" in text
    assert "**noisy** not estimable (no settled trial has an outcome)" in text
    assert "| noisy | 0 | 0 | 0 | 12 |" in text
    assert "| plain | 12 | 0 | 0 | 0 |" in text
    assert "12 pairs miss an outcome" in text


def test_markdown_says_of_each_criterion_when_it_is_judged(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    found = undisturbed(sessions, create(sessions), made)
    assert "A trial that diverged is a failure." in render_markdown(found)
    added = [
        c | ({} if c["primary"] else {"at": "any", "version": 2, "post_hoc": True})
        for c in found.findings["criteria"]
    ]
    text = render_markdown(replace(found, findings=dict(found.findings) | {"criteria": added}))
    assert (
        "A trial that diverged is a failure where success is judged at the end, and is judged by "
        "its evaluations before that where success is judged at any evaluation."
    ) in text
    assert "(but test_accuracy >= 0.5 at any evaluation); root" in text


def printed(text: str) -> str:
    """The page as a terminal of 80 columns shows it."""
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(Markdown(text))
    return out.getvalue()


def test_a_terminal_of_80_columns_splits_no_number(sqlite: Engine) -> None:
    """Every cell of the tables of rates and differences stands on one line."""
    sessions = session_factory(sqlite)
    arms = {"without-noise": {"noise_eta": 0.0}, "gradient-noise": {"noise_eta": 0.01}}
    primary = {"arm": "gradient-noise", "against": "without-noise"}
    sweep = create(sessions, arms=arms, primary=primary, seeds=1000, cohort=1000)
    shown = printed(render_markdown(undisturbed(sessions, sweep, made)))
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert re.search(
        r"gradient-noise - without-noise +\+99\.9 +\+99\.6 to \+100\.0 +< 0\.0001", shown
    )
    assert re.search(r"without-noise +2 / 2000 +0\.10 % +0\.03 % to 0\.36 %", shown)
    assert re.search(r"without-noise +1,000 \(275 to 3,646\) +2,995 \(822 to 10,921\)", shown)
    assert re.search(r"ratio \(score, paired\) +1,000 +275 to 3,6\d\d", shown)
    assert re.search(r"McNemar, exact +p < 0\.0001", shown)
    assert re.search(r"gradient-noise +2000 / 2000 +0\.95 +0\.95 +0\.95 +0\.95 +0\.95", shown)
    assert re.search(r"gradient-noise +2000 +0 +0 +0", shown)
    assert "both 2, only gradient-noise 1998, only without-noise 0, neither 0" in " ".join(
        shown.split()
    )


def test_names_that_markdown_would_read_as_markup_are_shown_as_they_are(sqlite: Engine) -> None:
    """A bar in a name would end its table's column."""
    sessions = session_factory(sqlite)
    evil = "a|b *c* `d` _e_ [f](g) <h>"
    arms = {"plain": {"noise_eta": 0.0}, evil: {"noise_eta": 0.01}}
    sweep = create(sessions, name=evil, arms=arms, primary={"arm": evil, "against": "plain"})
    text = render_markdown(undisturbed(sessions, sweep, made))
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert sum("12 / 12" in row for rows in tables for row in rows) == 4
    for rows in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, rows
    assert evil in " ".join(printed(f"# {text.splitlines()[0].removeprefix('# ')}").split())


@pytest.mark.parametrize("evil", ["a\nb", "a\x85b", "a\u2028b", "a\u202eb", "a\x1b[31mb"])
def test_a_name_with_control_characters_is_no_name(sqlite: Engine, evil: str) -> None:
    sessions = session_factory(sqlite)
    with pytest.raises(SpecError, match="control characters"):
        create(sessions, arms={"plain": {"noise_eta": 0.0}, evil: {"noise_eta": 0.01}})


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
    for r in rows:
        ends = [float(r[x]) for x in ("exact_low", "low", "rate", "high", "exact_high")]
        assert ends == sorted(ends)
    assert [(r["threshold"], r["arm"], r["selected"]) for r in rows if r["selected"] == "1"] == [
        ("0.9", "noisy", "1"),
        ("0.5", "noisy", "1"),
    ]


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

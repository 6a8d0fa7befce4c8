"""A report of a sweep that stopped: what carries the claim, and what is left out."""

import csv
import io

import pytest
from sqlalchemy import Engine

from service.report.build import Report
from service.report.claim import claim_at_any_look
from service.report.markdown import render_markdown
from service.report.spreadsheet import render_csv
from service.store.engine import session_factory
from tests.service.report.test_findings import create, primary, undisturbed
from tests.service.samples import outcome
from workers.messages import Assignment, Outcome

NOISY = {"arm": "noisy", "against": "plain"}


def noisy_wins(task: Assignment) -> Outcome:
    return outcome(task, 0.95 if task.values["noise_eta"] or task.seed % 5 == 0 else 0.2)


def run(sqlite: Engine, when: object, seeds: int = 20, **changes: object) -> Report:
    sessions = session_factory(sqlite)
    stop = {"when": when, "alpha": 0.05}
    sweep = create(sessions, seeds=seeds, cohort=2, stop=stop, primary=NOISY | changes)
    return undisturbed(sessions, sweep, noisy_wins)


def test_after_an_evidence_stop_only_what_holds_at_any_look_carries_the_claim(
    sqlite: Engine,
) -> None:
    found = run(sqlite, "evidence")
    plan = found.findings["plan"]
    assert plan["stopped"] == {"when": "evidence", "cohort": 3, "alpha": 0.05}
    assert (plan["settled_cohorts"], plan["settled_seeds"], plan["complete"]) == (3, 6, False)
    assert plan["no_intervals"] == "fixed-n intervals and p are not valid after stopping"
    for criterion in found.findings["criteria"]:
        for e in (*criterion["arms"], *criterion["cells"]):
            assert e["interval"] is None
        assert criterion["contrasts"][0]["interval"] is criterion["contrasts"][0]["p"] is None
    (k,) = primary(found)["contrasts"]
    assert k["anytime"]["p"] == pytest.approx(9 / 2**8)
    text = render_markdown(found)
    assert "stopped by evidence after cohort 3 of 10" in text
    assert "noisy succeeds more often: the e-value reached 20" in text
    assert "McNemar p" not in text.partition("##")[0]
    assert "Interim" not in text
    low, high = (f"{100 * end:+.1f}" for end in k["anytime"]["interval"])
    assert f"| noisy - plain | +66.7 | {low} to {high} | 0.0352 |" in text
    assert "| arm | successes | rate | 95 % at any look |" in text


def test_a_rule_that_could_have_stopped_carries_the_claim_at_the_end_too(sqlite: Engine) -> None:
    """Or evidence and a test at the end would be two chances of a false claim."""
    found = run(sqlite, "evidence", seeds=4)
    plan, (k,) = found.findings["plan"], primary(found)["contrasts"]
    assert (plan["stopped"], plan["complete"], plan["claim_by"]) == (None, True, "anytime")
    assert k["p"] == pytest.approx(2 * 0.5**6)
    text = render_markdown(found).partition("##")[0]
    assert "No difference is shown: the e-value has not reached 20." in text
    assert "interval and test agree" not in text
    futile = run(sqlite, "futile", seeds=4, effect=0.5)
    assert futile.findings["plan"]["claim_by"] == "fixed_n"
    for report, holds in ((found, "0"), (futile, "1")):
        rows = list(csv.DictReader(io.StringIO(render_csv(report))))
        assert {(r["intervals_hold"], bool(r["low"])) for r in rows} == {(holds, True)}


def test_a_futile_stop_says_which_difference_is_ruled_out(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = create(
        sessions,
        seeds=200,
        cohort=10,
        stop={"when": ["evidence", "futile"]},
        primary=NOISY | {"effect": 0.4},
    )
    found = undisturbed(sessions, sweep)
    assert found.findings["plan"]["stopped"]["when"] == "futile"
    text = render_markdown(found).partition("##")[0]
    assert "stopped as futile after cohort" in text
    assert "A difference of +/- 40 points or more is ruled out." in text


@pytest.mark.parametrize(
    ("sided", "difference", "p", "flips", "said"),
    [
        ("two", 0.2, 0.01, False, "noisy succeeds more often"),
        ("two", -0.2, 0.05, False, "noisy succeeds less often"),
        ("less", -0.2, 0.01, False, "noisy succeeds less often"),
        ("greater", -0.2, 1.0, False, "A difference of +30 points or more is ruled out"),
        ("less", -0.2, 0.06, False, "No difference is shown"),
        ("two", 0.2, 0.01, True, "No claim"),
    ],
)
def test_the_claim_at_any_look(
    *, sided: str, difference: float, p: float, flips: bool, said: str
) -> None:
    k = {
        "sided": sided,
        "difference": difference,
        "effect": 0.3,
        "bounds_allow_other_sign": flips,
        "anytime": {"p": p, "alpha": 0.05, "interval": [-0.4, 0.25]},
    }
    assert claim_at_any_look(k, "noisy").startswith(said)

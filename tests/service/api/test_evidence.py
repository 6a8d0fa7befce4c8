"""Evidence in progress: of counters alone, found once for the same counts, bounded in number."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from service.api import evidence
from service.api.views import progress_json
from service.cli.picture import draw
from service.evidence.stopping import Rule
from service.plan import Criterion
from service.store.pairing import COUNTED, PairCounts
from service.store.progress import ArmProgress, Progress, Stopped
from service.store.tables import END_STATES


def progress(arms: int, criteria: int, pairs: int = 40, rule: Rule | None = None) -> Progress:
    """Of settled cohorts: every arm succeeds half the time, and pairs are all alike."""
    counts = dict.fromkeys(COUNTED, 0) | {"both": pairs // 4, "only_a": pairs // 4}
    counts |= {"only_b": pairs // 4, "neither": pairs - 3 * (pairs // 4)}
    ended = dict.fromkeys(END_STATES, 0) | {"finished": pairs}
    return Progress(
        state="running",
        reason=None,
        trials=1000,
        cohorts=20,
        settled_cohorts=7,
        arms=tuple(
            ArmProgress(f"arm {i}", 500, 0, ended, ended, (pairs // 2,) * criteria)
            for i in range(arms)
        ),
        criteria=tuple(
            Criterion(k, "accuracy", "at_least", k / 100, "end", primary=k == 1)
            for k in range(criteria)
        ),
        pairs=tuple(
            PairCounts(k, i, 0, first=i == 1, sided="two", counts=counts)
            for k in range(criteria)
            for i in range(1, arms)
        ),
        stop=rule,
        stopped=Stopped("futile", 7) if rule else None,
        judged_after=0,
        spoke=None,
        forecast=None,
        started_at=None,
        ended_at=None,
    )


def test_what_was_found_for_some_counts_is_not_found_again() -> None:
    """Many polls come between two cohorts."""
    one = evidence.evidence_json(progress(3, 2, pairs=44))
    before = evidence._anytime.cache_info(), evidence._rate.cache_info()
    progress_json(progress(3, 2, pairs=44), None)
    progress_json(progress(3, 2, pairs=44), None)
    after = evidence._anytime.cache_info(), evidence._rate.cache_info()
    assert after[0].misses == before[0].misses
    assert after[1].misses <= before[1].misses + 1
    assert evidence.evidence_json(progress(3, 2, pairs=48)) != one


def test_the_primary_contrast_comes_first() -> None:
    found = evidence.evidence_json(progress(3, 2))
    assert [(e["threshold"], e["arm"], e["primary"]) for e in found] == [
        (0.01, "arm 1", True),
        (0.0, "arm 1", False),
        (0.0, "arm 2", False),
        (0.01, "arm 2", False),
    ]


def test_of_many_arms_and_criteria_only_the_primary_criterions_are_reckoned() -> None:
    """A look at 64 arms and 32 criteria would take seconds."""
    some, many = progress(4, 8), progress(4, 9)
    assert len(evidence.evidence_json(some)) == 24
    assert {e["threshold"] for e in evidence.evidence_json(many)} == {0.01}
    shown = progress_json(many, None)["arms"][0]["settled"]["successes"]
    assert [c["anytime"] is not None for c in shown] == [False, True] + [False] * 7


@pytest.mark.parametrize("with_evidence", [True, False])
def test_a_stop_is_told_in_lists_too(*, with_evidence: bool) -> None:
    rule = Rule(("evidence", "futile"), 0.01, "two", 0.2)
    found = progress_json(progress(2, 2, rule=rule), None, with_evidence=with_evidence)
    assert found["stop"] == {
        "when": ["evidence", "futile"],
        "alpha": 0.01,
        "effect": 0.2,
        "stopped": {"when": "futile", "cohort": 7},
        "judged": True,
        "spoke": None,
    }


@pytest.mark.parametrize(
    ("after", "spoke", "says"),
    [
        (0, None, None),
        (7, None, None),
        (19, None, "no cohort that was added"),
        (20, Stopped("evidence", 5), "stopped it by evidence after cohort 5, before it was"),
    ],
)
def test_a_stop_rule_that_cannot_end_an_extended_sweep_is_said_to_be_silent(
    after: int, spoke: Stopped | None, says: str | None
) -> None:
    """And nowhere that the sweep may stop before its end."""
    rule = Rule(("evidence",), 0.05, "two", None)
    now = replace(progress(2, 2, rule=rule), stopped=None, judged_after=after, spoke=spoke)
    shown = progress_json(now, None) | {"eta_s": 90.0}
    assert shown["stop"]["judged"] is (says is None)
    picture = Console(width=200, record=True, file=StringIO())
    picture.print(draw("a sweep", shown))
    text = picture.export_text()
    assert ("at an e-value of 20" in text) is (says is None)
    assert (says or "at an e-value of 20") in text
    assert ("unless it stops" in text) is (says is None)


def test_the_primary_contrast_is_looked_at_by_its_rules_alpha() -> None:
    rule = Rule(("evidence",), 0.01, "two", None)
    strict, usual = evidence.evidence_json(progress(2, 2, rule=rule))
    assert (strict["alpha"], usual["alpha"]) == (0.01, 0.05)
    assert strict["interval"][0] < usual["interval"][0]

"""Two sweeps: the pairs that they share give one table, those that they do not multiply."""

import math
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.evidence.sequential import p_anytime
from service.report.comparison import compare
from service.report.shared import ChoiceError, Shared, Side, no_pairs, rules_of, shared
from service.report.together import Evidence, together
from service.store.engine import session_factory
from service.store.pairing import COUNTED, PairCounts
from tests.service.report.swept import finished
from tests.service.report.test_findings import claim, complete, create, report
from tests.service.samples import outcome, plan
from workers.messages import Assignment, Outcome

Sessions = sessionmaker[Session]
PLAIN: dict[str, Any] = {"plain": {"noise_eta": 0.0}}
NOISY: dict[str, Any] = {"noisy": {"noise_eta": 0.01}}
OTHER = "b" * 32


def compared(sessions: Sessions, one: str, other: str, **how: Any) -> dict[str, Any]:
    with sessions() as session:
        return compare(session, one, other, **how)


def wins(task: Assignment) -> Outcome:
    return outcome(task, 0.95 if task.values["noise_eta"] or task.seed % 3 == 0 else 0.2)


def test_arms_split_between_two_sweeps_of_one_root_give_the_table_of_one_sweep(
    sessions: Sessions,
) -> None:
    """Every number of it, a lost trial's bounds and the grid too, by both criteria."""
    whole = report(sessions, finished(sessions)).findings
    plain, noisy = (finished(sessions, arms=arms) for arms in (PLAIN, NOISY))
    found = compared(sessions, noisy, plain)["paired"]
    assert found["not_possible"] is found["no_intervals"] is None
    assert (found["settings"], found["seeds"], found["pairs"], found["settled_pairs"]) == (
        2, 6, 12, 12
    )  # fmt: skip
    assert found["same_numerics"] is True
    assert len(found["criteria"]) == len(whole["criteria"]) == 2
    for here, there in zip(found["criteria"], whole["criteria"], strict=True):
        (single,) = there["contrasts"]
        assert here["exploratory"] is True
        assert here["threshold"] == there["threshold"]
        same = set(single) - {"arm", "against", "primary", "exploratory", "effect", "grid", "holm"}
        assert {"table", "incomplete_pairs", "interval", "p", "anytime", "correlation"} <= same
        assert {k: here[k] for k in same} == {k: single[k] for k in same}
        assert here["grid"]["paired"] == single["grid"]["paired"]
        assert here["holm"] >= here["p"]
    assert sum(found["criteria"][0]["incomplete_pairs"].values()) == 1
    back = compared(sessions, plain, noisy)["paired"]["criteria"][0]
    assert back["difference"] == -found["criteria"][0]["difference"]


def test_only_the_shared_part_of_two_grids_and_seeds_is_paired(sqlite: Engine) -> None:
    """The one has fewer seeds, another setting, and the shared ones in another order."""
    sessions = session_factory(sqlite)
    one = finished(sessions, wins, arms=NOISY, seeds=4, grid={"learning_rate": [0.3, 0.2, 0.1]})
    other = finished(sessions, wins, arms=PLAIN | {"loud": {"noise_eta": 0.1}})
    found = compared(sessions, one, other, against="plain", threshold=0.9)["paired"]
    assert (found["settings"], found["seeds"], found["settled_pairs"]) == (2, 4, 8)
    (at,) = found["criteria"]
    assert at["table"] == {"both": 4, "only_a": 4, "only_b": 0, "neither": 0}
    assert at["threshold"] == 0.9


def test_what_is_not_settled_does_not_count(sqlite: Engine) -> None:
    """Two worlds that differ in arrivals alone."""
    sessions = session_factory(sqlite)
    other = finished(sessions, wins, arms=PLAIN)
    found = []
    for value in (0.95, 0.2):
        one = create(sessions, arms=NOISY)
        taken = claim(sessions, one, 7)
        early, late = [t for t in taken if t.seed < 2], [t for t in taken if t.seed >= 2]
        assert (len(early), len(late)) == (4, 3)
        complete(sessions, [*map(wins, early), *(outcome(t, value) for t in late)])
        said = compared(sessions, one, other)
        found.append({k: v for k, v in said["paired"].items() if k not in ("arm", "no_intervals")})
    assert found[0] == found[1]
    assert found[0]["settled_pairs"] == found[0]["criteria"][0]["pairs"] == 4
    assert found[0]["criteria"][0]["interval"] is found[0]["criteria"][0]["p"] is None
    assert found[0]["criteria"][0]["anytime"]["p"] <= 1
    assert "has settled 1 of 3 cohorts" in said["paired"]["no_intervals"]
    nothing = compared(sessions, create(sessions, arms=NOISY), other)["paired"]
    assert nothing["criteria"][0]["not_estimable"] == "no pair is settled"
    assert nothing["criteria"][0]["anytime"] is None


def test_after_a_stop_there_is_no_fixed_n_interval(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    stop: dict[str, Any] = {
        "seeds": 20,
        "stop": {"when": "evidence"},
        "primary": {"arm": "noisy", "against": "plain"},
    }
    one = finished(sessions, wins, **stop)
    other = finished(sessions, wins, arms={"loud": {"noise_eta": 0.1}}, seeds=20)
    found = compared(sessions, one, other, arm="noisy")
    cohort = found["sweeps"][0]["stopped"]["cohort"]
    assert f"{one} was stopped at cohort {cohort}" in found["paired"]["no_intervals"]
    assert found["paired"]["settled_pairs"] == 2 * 2 * cohort
    assert all(c["interval"] is c["p"] is None for c in found["paired"]["criteria"])
    assert all(c["anytime"]["interval"] for c in found["paired"]["criteria"])


def test_evidence_of_disjoint_pairs_multiplies(sessions: Sessions) -> None:
    one = finished(sessions, wins)
    renamed: dict[str, Any] = {"a": {"noise_eta": 0.0}, "b": {"noise_eta": 0.01}}
    others = [
        finished(sessions, wins, root=OTHER, arms=renamed, seeds=4),
        finished(sessions, wins, grid={"learning_rate": [0.3]}),
    ]
    alone = compared(sessions, others[0], one)["merged"]["parts"][1]
    for other in others:
        found = compared(sessions, one, other)["merged"]
        assert found["not_possible"] is None
        looks = [
            next(c for c in report(sessions, s).findings["criteria"] if c["primary"])["contrasts"][
                0
            ]["anytime"]
            for s in (one, other)
        ]
        assert [p["log_e"] for p in found["parts"]] == [look["log_e"] for look in looks]
        assert found["log_e"] == pytest.approx(sum(look["log_e"] for look in looks), rel=1e-8)
        assert found["p"] == pytest.approx(p_anytime(found["log_e"]), rel=1e-8)
        assert found["p"] < min(look["p"] for look in looks)
        assert found["same_direction"] is True
        assert found["parts"][0] == alone
    paired = compared(sessions, one, others[0])["paired"]["not_possible"]
    assert f"the root ({'5eedbed0' * 4} and {OTHER})" in paired
    assert (
        "learning_rate 0.1 and 0.3" in compared(sessions, one, others[1])["paired"]["not_possible"]
    )


def test_evidence_of_shared_pairs_is_refused_with_their_number_and_an_example(
    sqlite: Engine,
) -> None:
    sessions = session_factory(sqlite)
    one = finished(sessions, wins)
    other = create(sessions, seeds=4, grid={"learning_rate": [0.2, 0.3]})
    found = compared(sessions, one, other, arm="noisy", against="plain")
    setting = plan().settings[1].hash
    refused = found["merged"]["not_possible"]
    assert set(found["merged"]) == {"not_possible", "shared_pairs"}
    assert found["merged"]["shared_pairs"] == 4
    assert f"4 pairs, such as in setting {setting} the seeds 0 to 3" in refused
    assert f"sweep {one} and sweep {other}" in refused
    assert found["paired"]["not_possible"] is None


def side(**changes: Any) -> Side:
    return Side(f"s{len(changes)}", plan(**changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"root": OTHER}, "the root"),
        ({"fixed": {"depth": 4, "width": 8}}, "the settings (the first ones by depth 3 and 4)"),
        ({"budget": {"steps": 400}}, "the budget (200 and 400)"),
        ({"evaluate": {"every": 1}}, "the segments from evaluation to evaluation (5 and 1)"),
        (
            {
                "leave": "at_success",
                "success": {"metric": "test_accuracy", "at_least": 0.9, "at": "any"},
            },
            "the leave rule (never and test_accuracy at_least 0.9)",
        ),
    ],
)
def test_sweeps_without_a_shared_pair_say_what_differs(changes: dict[str, Any], said: str) -> None:
    reason = no_pairs(side(), side(**changes))
    assert reason is not None
    assert said in reason
    assert reason.count(" and ") <= 4  # what is alike is not named
    assert no_pairs(side(), side(arms=PLAIN, seeds=3, cohort=1)) is None


def test_a_pack_of_another_segment_makes_no_pair() -> None:
    one, other = side(arms=NOISY), side(arms=PLAIN)
    (structure,) = other.plan.structures
    slower = replace(structure, pack=replace(structure.pack, segment=structure.pack.segment * 2))
    apart = Side("t", replace(other.plan, structures=(slower,)))
    arms = one.plan.arms[0], other.plan.arms[0]
    rules = rules_of(one, other, None, None)
    assert isinstance(shared(one, other, *arms, rules), Shared)
    assert "differ in the segment" in str(shared(one, apart, *arms, rules))


def test_a_trial_is_not_paired_with_itself() -> None:
    one, other = side(), side(arms={"also noisy": {"noise_eta": 0.01}})
    rules = rules_of(one, other, None, None)
    arms = {arm.name: arm for arm in one.plan.arms}
    (against,) = other.plan.arms
    found = shared(one, other, arms["noisy"], against, rules)
    assert "resolve to the same values" in str(found)
    assert isinstance(shared(one, other, arms["plain"], against, rules), Shared)


def test_criteria_are_those_of_both_and_one_that_is_in_neither_is_refused() -> None:
    one = side()
    other = side(success={"metric": "test_accuracy", "at_least": 0.5, "report_at": [0.5, 0.7]})
    assert [a.threshold for a, _ in rules_of(one, other, None, None)] == [0.5]
    with pytest.raises(ChoiceError, match=r"query\.threshold.*use test_accuracy at_least 0\.5"):
        rules_of(one, other, None, 0.9)
    apart = side(success={"metric": "test_accuracy", "at_least": 0.5, "at": "any"})
    assert rules_of(one, apart, None, 0.5) == ()
    found = shared(one, apart, one.plan.arms[0], apart.plan.arms[1], ())
    assert "no criterion is in both sweeps" in str(found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"primary": {"arm": "noisy", "against": "plain", "sided": "greater"}}, "the side"),
        ({"primary": {"arm": "plain", "against": "noisy"}}, "the arms"),
        ({"primary": {"arm": "noisy", "against": "plain", "threshold": 0.5}}, "the criterion"),
        ({"arms": PLAIN | {"noisy": {"noise_eta": 0.02}}}, "the arms"),
        ({"budget": {"steps": 400}}, "the budget"),
    ],
)
def test_evidence_about_another_question_is_not_multiplied(
    changes: dict[str, Any], said: str
) -> None:
    counts = dict.fromkeys(COUNTED, 0) | {"only_a": 5}
    ones = PairCounts(0, 1, 0, first=True, sided="two", counts=counts)
    a, b = Evidence(side(), ones), Evidence(side(root=OTHER), ones)
    assert together(a, b)["log_e"] == pytest.approx(2 * math.log(2**5 / 6))
    found = together(a, Evidence(side(root=OTHER, **changes), ones))
    assert set(found) == {"not_possible"}
    assert f"differ in {said}" in found["not_possible"]
    nothing = together(a, Evidence(side(arms=PLAIN), None))
    assert "declares no primary contrast" in nothing["not_possible"]


def test_opposite_directions_are_told() -> None:
    counts = [dict.fromkeys(COUNTED, 0) | {won: 5} for won in ("only_a", "only_b")]
    a, b = (PairCounts(0, 1, 0, first=True, sided="two", counts=c) for c in counts)
    found = together(Evidence(side(), a), Evidence(side(root=OTHER), b))
    assert found["same_direction"] is False
    assert found["log_e"] > 0

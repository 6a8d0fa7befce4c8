"""The findings' numbers are those of the methods, over the trials that they are said to be of."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from service.evidence import strata
from service.evidence.independent import Independent
from service.evidence.pairs import Pairs
from service.evidence.practical import restarts_for_one, restarts_per_success
from service.evidence.prefer import prefer, signed_rank
from service.evidence.rates import Rate
from service.evidence.several import holm
from service.evidence.sooner import logrank
from service.evidence.survival import Times
from service.evidence.values import summarise
from service.report.build import Report
from service.report.firsts import CurveError
from service.report.rounding import rounded
from service.store.engine import session_factory
from tests.service.report.test_findings import create, primary, undisturbed
from tests.service.samples import curve, outcome
from workers.messages import Assignment, Failure, MetricRecord, Outcome

THREE = {"plain": {"noise_eta": 0.0}, "a": {"noise_eta": 0.01}, "b": {"noise_eta": 0.1}}
GRID = {"learning_rate": [0.1, 0.2, 0.3]}


def value(task: Assignment) -> float:
    """Made up, another for each trial; noisier arms and larger steps do better."""
    draw = np.random.default_rng([task.seed, int(1000 * task.values["learning_rate"])])
    noise = draw.random(3)[{0.0: 0, 0.01: 1, 0.1: 2}[task.values["noise_eta"]]]
    shift = task.values["noise_eta"] + task.values["learning_rate"]
    return float(min(1.0, 0.6 * draw.random() + 0.3 * noise + shift))


def made(task: Assignment) -> Outcome | Failure:
    """One trial is lost, some diverge."""
    if task.seed == 2 and task.values["noise_eta"] == 0.1:
        return Failure(task.trial, task.attempt, "lost", "")
    if task.seed == 5:
        return outcome(task, end_state="diverged", steps=50, metrics={})
    return outcome(task, value(task))


@pytest.fixture
def found(sqlite: Engine) -> Report:
    """Three arms, three settings, 20 seeds, thresholds 0.5 and 0.9."""
    sessions = session_factory(sqlite)
    sweep = create(
        sessions,
        arms=THREE,
        grid=GRID,
        seeds=20,
        cohort=5,
        primary={"arm": "b", "against": "plain", "sided": "greater"},
    )
    return undisturbed(sessions, sweep, made)


def values(arm: float, settings: tuple[float, ...] = (0.1, 0.2, 0.3)) -> dict[Any, float | None]:
    """(setting, seed) -> what the arm's trial reached; None diverged; a lost one is left out."""
    every: dict[Any, float | None] = {}
    for rate in settings:
        for seed in range(20):
            if seed == 2 and arm == 0.1:
                continue
            task = Assignment(0, 1, 0, 0, seed, {"noise_eta": arm, "learning_rate": rate})
            every[rate, seed] = None if seed == 5 else value(task)
    return every


def reached(x: float | None, threshold: float) -> bool:
    return x is not None and x >= threshold


def rate(arm: float, threshold: float, *settings: float) -> Rate:
    trials = values(arm, settings or (0.1, 0.2, 0.3))
    return Rate(sum(reached(x, threshold) for x in trials.values()), len(trials))


def pairs(a: float, b: float, threshold: float, *settings: float) -> Pairs:
    of_a, of_b = (values(arm, settings or (0.1, 0.2, 0.3)) for arm in (a, b))
    both = [(reached(of_a[k], threshold), reached(of_b[k], threshold)) for k in of_a if k in of_b]
    return Pairs(*(both.count(x) for x in ((1, 1), (1, 0), (0, 1), (0, 0))))


def as_json(x: Any) -> Any:
    """As the findings hold it."""
    return rounded({"x": x})["x"]


def as_told(x: Any) -> Any:
    """A dataclass as the findings hold it."""
    return as_json(asdict(x))


def test_arms_have_both_intervals_and_restarts(found: Report) -> None:
    for arm, e in zip((0.0, 0.01, 0.1), primary(found)["arms"], strict=True):
        of = rate(arm, 0.9)
        assert (e["successes"], e["n"]) == (of.k, of.n)
        assert e["interval"] == as_json(of.wilson())
        assert e["exact_interval"] == as_json(of.clopper_pearson())
        assert e["restarts_per_success"] == as_told(restarts_per_success(of))
        assert e["restarts_for_one"] == as_told(restarts_for_one(of))


def test_cells_have_both_intervals_and_the_best_is_marked_as_selected(found: Report) -> None:
    c = primary(found)
    for e in c["cells"]:
        of = rate(THREE[e["arm"]]["noise_eta"], 0.9, e["setting"]["learning_rate"])
        assert (e["successes"], e["n"]) == (of.k, of.n)
        assert e["interval"] == as_json(of.wilson())
        assert e["exact_interval"] == as_json(of.clopper_pearson())
    best = c["selected"]
    assert best["rate"] == max(e["rate"] for e in c["cells"])
    assert best["selected_of"] == 9
    assert "confirm on fresh seeds" in best["note"]


@pytest.mark.parametrize("threshold", [0.5, 0.9])
@pytest.mark.parametrize("arm", ["a", "b"])
def test_a_contrast_is_said_by_every_method(found: Report, threshold: float, arm: str) -> None:
    c = next(c for c in found.findings["criteria"] if c["threshold"] == threshold)
    k = next(k for k in c["contrasts"] if k["arm"] == arm)
    eta = THREE[arm]["noise_eta"]
    of, sided = pairs(eta, 0.0, threshold), "two"
    if (arm, threshold) == ("b", 0.9):
        sided = "greater"
    apart = Independent(rate(eta, threshold), rate(0.0, threshold))
    assert k["table"] == asdict(of)
    assert k["sided"] == sided
    assert [k["p"], k["mid_p"]] == as_json([of.mcnemar(sided), of.mid_p(sided)])
    assert k["interval"] == as_json(of.interval())
    assert k["tango"] == as_told(of.tango())
    assert (k["ratio"], k["odds_ratio"]) == (as_told(of.ratio()), as_told(of.odds_ratio()))
    assert k["correlation"] == as_json(of.correlation())
    saving = of.saving()
    assert k["saving"] == (as_told(saving) if saving else None)
    assert k["unpaired"] == {
        "difference": as_told(apart.difference()),
        "ratio": as_told(apart.ratio()),
        "odds_ratio": as_told(apart.odds_ratio()),
        "test": as_told(apart.score_test(sided)),
    }
    settings = GRID["learning_rate"]
    each = [pairs(eta, 0.0, threshold, s) for s in settings]
    arms = [Independent(rate(eta, threshold, s), rate(0.0, threshold, s)) for s in settings]
    assert k["grid"] == {
        "paired": as_told(strata.paired(each, sided)),
        "unpaired": as_told(strata.independent(arms, sided)),
    }


def test_holm_is_over_all_exploratory_contrasts_of_the_report(found: Report) -> None:
    contrasts = [k for c in found.findings["criteria"] for k in c["contrasts"]]
    exploratory = [k for k in contrasts if k["exploratory"]]
    assert len(exploratory) == 3
    assert [k["holm"] for k in exploratory] == pytest.approx(
        holm([k["p"] for k in exploratory]), rel=1e-9
    )
    assert [k["holm"] for k in contrasts if k["primary"]] == [None]


def test_several_arms_are_compared_on_complete_blocks(found: Report) -> None:
    s = primary(found)["several"]
    assert s["blocks"] == 57  # three blocks miss an outcome
    assert s["cochran_q"]["method"] == "Cochran's Q, 2 degrees of freedom"
    assert [(k["arm"], k["against"]) for k in s["pairs"]] == [
        ("a", "plain"),
        ("b", "plain"),
        ("b", "a"),
    ]
    whole = {k: [values(eta)[k] for eta in (0.0, 0.01, 0.1)] for k in values(0.1)}
    won = [[reached(x, 0.9) for x in row] for row in whole.values()]
    column = [sum(row[i] for row in won) for i in range(3)]
    for k, (one, other) in zip(s["pairs"], ((1, 0), (2, 0), (2, 1)), strict=True):
        assert k["difference"] == pytest.approx((column[one] - column[other]) / 57)
    assert [k["holm"] for k in s["pairs"]] == pytest.approx(
        holm([k["p"] for k in s["pairs"]]), rel=1e-9
    )


def test_the_metric_has_its_distribution_and_its_pairs(found: Report) -> None:
    (m,) = found.findings["metrics"]
    assert (m["metric"], m["better"]) == ("test_accuracy", "higher")
    for eta, e in zip((0.0, 0.01, 0.1), m["arms"], strict=True):
        finals = np.array([np.nan if x is None else x for x in values(eta).values()])
        of = summarise(finals, "higher")
        assert [e["n"], e["measured"], e["mean"]] == as_json([len(finals), of.measured, of.mean])
        assert [e["best"], e["band"]] == as_json([of.best, of.band])
        assert e["ecdf"] == as_json(of.ecdf)
        assert e["quantiles"] == as_json(of.quantiles)
    for k, eta in zip(m["contrasts"], (0.1, 0.01), strict=True):
        of_a, of_b = values(eta), values(0.0)
        both = [(of_a[key], of_b[key]) for key in of_a]
        a, b = (
            np.array([np.nan if x is None else x for x in side]) for side in zip(*both, strict=True)
        )
        assert k["pairs"] == len(both)
        assert k["p_better"] == as_told(prefer(a, b, "higher").share())
        assert k["wilcoxon"] == as_told(signed_rank(a, b, "higher"))
        assert k["exploratory"] is True


def test_time_to_success_is_that_of_the_curves(sqlite: Engine) -> None:
    """Noisy succeeds at step 50 or 100, plain at 150 or never; diverged trials never do."""
    sessions = session_factory(sqlite)

    def curved(task: Assignment) -> Outcome:
        noisy, even = task.values["noise_eta"] > 0, task.seed % 2 == 0
        if task.seed == 5:
            return outcome(task, end_state="diverged", steps=50, metrics={}, curve=curve([], []))
        step = (50 if even else 100) if noisy else (150 if even else 0)
        steps = [50, 100, 150, 200]
        column = [0.95 if s == step else 0.1 for s in steps]
        metrics = {"test_accuracy": MetricRecord(0.1, max(column), step or 50)}
        return outcome(task, metrics=metrics, curve=curve(steps, column))

    success = {"metric": "test_accuracy", "at_least": 0.9, "at": "any"}
    sweep = create(sessions, success=success)
    times = primary(undisturbed(sessions, sweep, curved))["times"]
    plain, noisy = times["arms"]
    assert (noisy["succeeded"], noisy["n"], noisy["median"]) == (10, 12, 50)
    assert (plain["succeeded"], plain["n"], plain["median"]) == (6, 12, 150)
    of_noisy, of_plain = Times(12, 200, (50, 100), (6, 4)), Times(12, 200, (150,), (6,))
    assert noisy["restricted_mean"] == as_json(of_noisy.restricted_mean())
    assert [(p["step"], p["survival"]) for p in plain["curve"]] == [
        (0, 1.0),
        (150, 0.5),
        (200, 0.5),
    ]
    (k,) = times["contrasts"]
    half_noisy, half_plain = Times(6, 200, (50, 100), (3, 2)), Times(6, 200, (150,), (3,))
    assert k["logrank"] == as_told(logrank([(half_noisy, half_plain)] * 2))
    assert k["steps_saved"] > 0
    assert of_plain.succeeded == plain["succeeded"]


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"", "cannot be read"),
        (curve([100, 200], [0.1, 0.2]), "test_accuracy never met 0.9"),
    ],
)
def test_a_curve_that_contradicts_its_outcome_is_an_error(
    sqlite: Engine, blob: bytes, words: str
) -> None:
    sessions = session_factory(sqlite)
    success = {"metric": "test_accuracy", "at_least": 0.9, "at": "any"}
    with pytest.raises(CurveError, match=words):
        undisturbed(sessions, create(sessions, success=success), lambda t: outcome(t, curve=blob))


def test_success_at_the_end_has_no_time(found: Report) -> None:
    assert all(c["times"] is None for c in found.findings["criteria"])


def test_where_trials_leave_at_success_there_are_no_distributions(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    success = {"metric": "test_accuracy", "at_least": 0.9, "at": "any"}
    found = undisturbed(sessions, create(sessions, success=success, leave="at_success"))
    assert found.findings["metrics"] == []
    assert "leave at success" in found.findings["metrics_withheld"]
    assert all(arm["metrics"] == {} for arm in found.findings["arms"])

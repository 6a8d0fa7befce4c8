"""A sweep that is extended ends as one that was submitted whole, and nothing runs twice."""

import random
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from models.catalog import experiments
from service.plan import Criterion
from service.report.build import build
from service.report.headline import headline
from service.report.met import frozen
from service.spec import parse
from service.spec.extension import missing, read_extension
from service.spec.problems import SpecError
from service.store import claims, exclusion, extending, sweeps
from service.store.engine import session_factory
from service.store.errors import StateConflictError
from service.store.judging import add_criteria
from service.store.plans import plan_of
from service.store.progress import Stopped, progress
from service.store.tables import arms as arm_rows
from service.store.tables import cohort_pairs, outcomes, results, trials
from service.store.tables import settings as setting_rows
from service.store.tables import sweeps as sweep_rows
from tests.service.samples import moment, outcome, plan
from tests.service.store.test_conformance import check_counters, complete, create
from workers.messages import Assignment, Failure, Outcome

Sessions = sessionmaker[Session]
ARM = {"louder": {"noise_eta": 0.03}}
GRID = {"learning_rate": [0.3, 0.1]}


def extend(sessions: Sessions, sweep: str, **wanted: Any) -> bool:
    """Extends as the route does; whether there was anything to add."""
    with sessions() as session:
        before, now = plan_of(session, sweep), progress(session, sweep)
        stopped = asdict(now.stopped) if now.stopped else None
        found = missing(
            before,
            read_extension(wanted),
            experiments(),
            settled=now.settled_cohorts,
            stopped=stopped,
            cancelled=now.state == "cancelled",
        )
        first = now.state == "finished" and stopped is None and not before.extensions
        met = frozen(build(session, sweep)) if found and first else None
    if found is None:
        return False
    with sessions.begin() as session:
        extending.extend(session, sweep, before, found, met, now=moment(9))
    return True


def ended(task: Assignment, salt: int = 0) -> Outcome | Failure:
    """What a trial yields, by what it is: the same in whichever sweep, structure and order."""
    dice = random.Random(f"{task.setting} {task.seed} {task.values['noise_eta']} {salt}")
    if dice.random() < 0.1:
        return Failure(task.trial, task.attempt, "e", "t")
    louder = 0.05 if task.values["noise_eta"] else 0.0
    return outcome(task, round(dice.random() * 0.95 + louder, 6))


def run(sessions: Sessions, sweep: str, salt: int = 0, most: int = 10**9, worker: str = "w") -> int:
    """Ends up to so many trials, of all its queues, in shares whose sizes are drawn; how many."""
    dice, total = random.Random(salt), 0
    while total < most:
        with sessions.begin() as session:
            waiting = [q for q in claims.queues(session) if q.sweep == sweep]
            if not waiting:
                return total
            queue = dice.choice(waiting)
            limit = min(dice.randint(1, 30), most - total)
            tasks = claims.claim(
                session, sweep, queue.structure, limit, worker=worker, now=moment(1)
            )
        returned = [ended(task, salt) for task in tasks]
        complete(
            sessions,
            [r for r in returned if isinstance(r, Outcome)],
            [r for r in returned if isinstance(r, Failure)],
        )
        total += len(tasks)
    return total


def recorded(sessions: Sessions, sweep: str) -> dict[Any, Any]:
    """(arm's name, setting's hash, seed) -> all of an outcome that must not depend on its fate."""
    with sessions() as session:
        query = (
            select(
                arm_rows.c.name,
                setting_rows.c.hash,
                trials.c.seed,
                trials.c.state,
                outcomes.c.fingerprint,
                results.c.final,
                results.c.best,
            )
            .join(arm_rows, (arm_rows.c.sweep == sweep) & (arm_rows.c.index == trials.c.arm))
            .join(
                setting_rows,
                (setting_rows.c.sweep == sweep) & (setting_rows.c.index == trials.c.setting),
            )
            .outerjoin(outcomes, outcomes.c.trial == trials.c.id)
            .outerjoin(results, results.c.trial == trials.c.id)
            .where(trials.c.sweep == sweep)
        )
        rows = session.execute(query).all()
        found = {tuple(r[:3]): tuple(r[3:]) for r in rows}
        assert len(found) == len(rows), "a trial is there twice"
        return found


def counted(sessions: Sessions, sweep: str) -> Any:
    """Counts of arms and contrasts, by names; the report has checked them against outcomes."""
    with sessions() as session:
        now, extended = progress(session, sweep), plan_of(session, sweep)
        found = build(session, sweep).findings  # raises if a counter contradicts the outcomes
        per_cohort = [
            sorted(
                (r.cohort, r.criterion, r.both, r.only_a, r.only_b, r.neither, r.missing)
                for r in session.execute(
                    select(cohort_pairs).where(
                        cohort_pairs.c.sweep == sweep, cohort_pairs.c.arm == arm.index
                    )
                )
            )
            for arm in extended.arms
        ]
    pairs = sorted((c.criterion, c.arm, c.against, sorted(c.counts.items())) for c in now.pairs)
    contrasts = [[k["table"] for k in c["contrasts"]] for c in found["criteria"]]
    return now.arms, now.settled_cohorts, pairs, contrasts, per_cohort, now.trials, now.ended


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    salt=st.integers(0, 10**6), first=st.sampled_from([3, 4, 5]), steps=st.permutations(range(3))
)
def test_a_sweep_extended_in_steps_ends_as_one_submitted_whole(
    engine: Engine, salt: int, first: int, steps: list[int]
) -> None:
    """By seeds (the last cohort being whole or short), by an arm, by a setting, in any order."""
    sessions = session_factory(engine)
    arms = {"plain": {"noise_eta": 0.0}, "noisy": {"noise_eta": 0.01}}
    primary = {"arm": "noisy", "against": "plain"}
    whole = create(
        sessions, seeds=7, arms=arms | ARM, grid={"learning_rate": [0.1, 0.2, 0.3]}, primary=primary
    )
    assert run(sessions, whole, salt) >= 63
    part = create(sessions, seeds=first, arms=arms, primary=primary)
    run(sessions, part, salt)
    wanted = [{"seeds": 7}, {"arms": ARM}, {"grid": GRID}]
    for number in steps:
        assert extend(sessions, part, **wanted[number])
        assert not extend(sessions, part, **wanted[number]), "it was asked for already"
        check_counters(sessions, part)
        run(sessions, part, salt)
        check_counters(sessions, part)
        with sessions() as session:
            now = progress(session, part)
            assert (now.state, now.ended, now.settled_cohorts) == (
                "finished",
                now.trials,
                now.cohorts,
            )
    assert recorded(sessions, part) == recorded(sessions, whole)
    assert counted(sessions, part) == counted(sessions, whole)


def test_a_short_last_cohort_becomes_whole_and_what_was_whole_stays_settled(
    sessions: Sessions,
) -> None:
    sweep = create(sessions, seeds=5)  # cohorts of 2, 2 and 1
    run(sessions, sweep)
    assert extend(sessions, sweep, seeds=6)
    with sessions() as session:
        now = progress(session, sweep)
        assert (now.state, now.settled_cohorts, now.cohorts) == ("waiting", 2, 3)
        assert [a.settled_trials + a.settled["errored"] for a in now.arms] == [8, 8]
    assert run(sessions, sweep) >= 4
    with sessions() as session:
        assert progress(session, sweep).settled_cohorts == 3
        assert {s for s, _ in session.execute(select(trials.c.cohort, trials.c.id))} == {0, 1, 2}


def test_a_new_arm_leaves_the_others_cohorts_as_they_were_and_waits_for_its_own(
    sessions: Sessions,
) -> None:
    sweep = create(sessions)
    run(sessions, sweep)
    before = counted(sessions, sweep)
    assert extend(sessions, sweep, arms=ARM)
    with sessions() as session:
        now = progress(session, sweep)
        assert (now.settled_cohorts, now.ended, now.trials) == (0, 24, 36)
        assert [q.claimable for q in claims.queues(session)] == [8]  # at most one cohort ahead
        packs = [s.pack for s in plan_of(session, sweep).structures]
        assert packs[0] == packs[1]  # so that old and new ride together
    run(sessions, sweep)
    after = counted(sessions, sweep)
    assert after[0][:2] == before[0]
    assert [c for c in after[2] if c[1] != 2] == before[2]
    assert [[c[0]] for c in after[3]] == before[3]


def stop(sessions: Sessions, **changes: Any) -> str:
    """A sweep whose rule has stopped it: the second arm wins every pair."""
    sweep = create(
        sessions, grid={}, seeds=60, cohort=5, stop={"when": "evidence", "alpha": 0.05}, **changes
    )
    while True:
        with sessions.begin() as session:
            tasks = claims.claim(session, sweep, 0, 9, worker="w", now=moment(1))
        if not tasks:
            break
        complete(sessions, [outcome(t, 0.95 if t.values["noise_eta"] else 0.1) for t in tasks])
        with sessions() as session:
            if progress(session, sweep).state != "running":
                break
    with sessions.begin() as session:
        from service.store import release  # noqa: PLC0415 - what a dispatcher does at its start

        release.release_all(session, now=moment(3))
    with sessions() as session:
        now = progress(session, sweep)
        assert (now.state, now.stopped is not None) == ("finished", True)
    return sweep


def test_after_a_stop_what_was_cancelled_runs_and_what_was_beyond_counts_in_order(
    sessions: Sessions,
) -> None:
    sweep = stop(sessions)
    with sessions() as session:
        now = progress(session, sweep)
        assert now.stopped is not None
        cohort, begun = now.stopped.cohort, max(session.scalars(select(trials.c.seed))) + 1
    with pytest.raises(SpecError, match="say with seeds"):
        extend(sessions, sweep, arms=ARM)
    with pytest.raises(StateConflictError, match=f"use seeds {begun} or more"):
        extend(sessions, sweep, seeds=begun - 1)
    assert extend(sessions, sweep, seeds=40)
    check_counters(sessions, sweep)
    with sessions() as session:
        now = progress(session, sweep)
        assert (now.state, now.stopped, now.trials) == ("waiting", None, 80)
        assert (now.judged, now.spoke) == (False, Stopped("evidence", cohort))
        assert now.settled_cohorts >= cohort
        assert sum(a.ended["cancelled"] for a in now.arms) == 0
    run(sessions, sweep)
    check_counters(sessions, sweep)
    with sessions() as session:
        now = progress(session, sweep)
        assert (now.state, now.ended, now.settled_cohorts, now.stopped) == ("finished", 80, 8, None)
        found = build(session, sweep).findings
        assert found["first_plan"] is None  # no plan was met
        assert found["plan"]["claim_by"] == "anytime"
        assert found["extensions"][0]["stopped"] == {"when": "evidence", "cohort": cohort}
    assert not extend(sessions, sweep, seeds=40)


def test_a_rule_that_never_spoke_is_judged_only_past_what_was_settled(sessions: Sessions) -> None:
    """The arms tie in the first plan; then one wins every pair, and the rule ends the sweep."""
    sweep = create(sessions, grid={}, seeds=10, cohort=5, stop={"when": "evidence", "alpha": 0.05})

    def train(low: float) -> None:
        while True:
            with sessions.begin() as session:
                tasks = claims.claim(session, sweep, 0, 10, worker="w", now=moment(1))
            if not tasks:
                return
            complete(sessions, [outcome(t, 0.95 if t.values["noise_eta"] else low) for t in tasks])

    train(0.95)
    with sessions() as session:
        assert progress(session, sweep).judged
    assert extend(sessions, sweep, seeds=60)
    train(0.1)
    with sessions() as session:
        now = progress(session, sweep)
        assert (now.judged, now.judged_after, now.spoke) == (True, 2, None)
        assert now.stopped is not None
        assert 2 < now.stopped.cohort < 12


def test_only_a_finished_sweep_is_extended_and_the_cure_is_said(sessions: Sessions) -> None:
    sweep = create(sessions)
    with pytest.raises(StateConflictError, match=r"is waiting; only a finished.*watch"):
        extend(sessions, sweep, seeds=8)
    run(sessions, sweep, most=3)
    with pytest.raises(StateConflictError, match="is running"):
        extend(sessions, sweep, seeds=8)
    with sessions.begin() as session:
        sweeps.pause(session, sweep)
    with pytest.raises(StateConflictError, match=r"is paused.*seedbed resume"):
        extend(sessions, sweep, seeds=8)
    with sessions.begin() as session:
        sweeps.cancel(session, sweep, now=moment())
    with pytest.raises(StateConflictError, match=r"is cancelled.*submit its spec with its root"):
        extend(sessions, sweep, seeds=8)
    assert not extend(sessions, sweep, seeds=6)  # it has them


@pytest.mark.parametrize("by", [{"arms": ARM}, {"grid": GRID}, {"seeds": 6}])
@pytest.mark.parametrize("more", [{}, {"seeds": 8}])
def test_an_extension_that_was_cancelled_is_taken_up_again(
    sessions: Sessions, by: dict[str, Any], more: dict[str, Any]
) -> None:
    """By its own seeds, or with more: it ends with what it would have without."""
    straight, sweep = create(sessions, seeds=5), create(sessions, seeds=5)
    for one in (straight, sweep):
        run(sessions, one)
        assert extend(sessions, one, **by)
    run(sessions, sweep, most=3)
    with sessions.begin() as session:
        seeds = plan_of(session, sweep).seeds
        [task] = claims.claim(  # it trains when its sweep is cancelled
            session, sweep, claims.queues(session)[-1].structure, 1, worker="w", now=moment(1)
        )
        sweeps.cancel(session, sweep, now=moment(8))
        with pytest.raises(StateConflictError, match="is cancelling"):
            exclusion.exclude(session, sweep, "w", "flips", now=moment(8))
    with pytest.raises(StateConflictError, match="is cancelling"):
        extend(sessions, sweep, seeds=9)
    complete(sessions, [outcome(task)])
    with sessions.begin() as session:
        assert progress(session, sweep).state == "cancelled"
        with pytest.raises(StateConflictError) as refused:
            exclusion.exclude(session, sweep, "w", "flips", now=moment(8))
    assert f"seedbed extend {sweep} --seeds {seeds}" in refused.value.cure
    assert extend(sessions, sweep, **more or {"seeds": seeds})
    check_counters(sessions, sweep)
    run(sessions, straight)
    run(sessions, sweep)
    if more:
        assert extend(sessions, straight, **more)
        run(sessions, straight)
    check_counters(sessions, sweep)
    with sessions() as session:
        now = progress(session, sweep)
        assert (now.state, now.ended, now.settled_cohorts) == ("finished", now.trials, now.cohorts)
        assert sum(a.ended["cancelled"] for a in now.arms) == 0
        assert len(plan_of(session, sweep).extensions) == 1 + bool(more)
    assert recorded(sessions, sweep).keys() == recorded(sessions, straight).keys()
    counted(sessions, sweep)


def test_a_rule_is_not_judged_anew_where_an_extension_was_cancelled(sessions: Sessions) -> None:
    """Cancelling leaves no cohort settled; the rule still waits for those past the first plan."""
    sweep = create(sessions, seeds=6, stop={"when": "evidence", "alpha": 0.05})
    run(sessions, sweep)
    assert extend(sessions, sweep, arms=ARM)
    with sessions.begin() as session:
        sweeps.cancel(session, sweep, now=moment(8))
    assert extend(sessions, sweep, seeds=6)
    with sessions() as session:
        found = session.execute(select(sweep_rows).where(sweep_rows.c.id == sweep)).one()
    assert (found.settled_cohorts, found.judged_after) == (0, 3)


def test_a_criterion_that_is_added_meanwhile_stops_an_extension(sessions: Sessions) -> None:
    """What was read lacks it, so that the new arm's contrast by it would not be counted."""
    sweep = create(sessions)
    run(sessions, sweep)
    with sessions() as session:
        before = plan_of(session, sweep)
    found = missing(before, read_extension({"arms": ARM}), experiments(), settled=3)
    assert found is not None
    extra = Criterion(0, "test_accuracy", "at_least", 0.3, "end", primary=False)
    with sessions.begin() as session:
        add_criteria(session, sweep, [extra], now=moment(9))
    with sessions.begin() as session, pytest.raises(StateConflictError, match="meanwhile"):
        extending.extend(session, sweep, before, found, None, now=moment())


def test_whoever_extends_second_at_once_is_told(sessions: Sessions) -> None:
    sweep = create(sessions)
    run(sessions, sweep)
    with sessions() as session:
        before = plan_of(session, sweep)
    found = missing(before, read_extension({"seeds": 9}), experiments(), settled=3)
    assert found is not None
    assert extend(sessions, sweep, seeds=8)
    run(sessions, sweep)
    with sessions.begin() as session, pytest.raises(StateConflictError, match="meanwhile"):
        extending.extend(session, sweep, before, found, None, now=moment())


def test_criteria_that_were_added_hold_for_what_an_extension_adds(sessions: Sessions) -> None:
    sweep = create(sessions)
    run(sessions, sweep)
    extra = Criterion(0, "test_accuracy", "at_least", 0.3, "end", primary=False)
    with sessions.begin() as session:
        add_criteria(session, sweep, [extra], now=moment(9))
    assert extend(sessions, sweep, arms=ARM, seeds=8, grid=GRID)
    run(sessions, sweep)
    assert len(counted(sessions, sweep)[0][2].successes) == 3
    check_counters(sessions, sweep)


def test_a_contrast_is_never_declared_by_an_extension(sessions: Sessions) -> None:
    """One arm has none; with a second it would be that of the two, after the outcomes."""
    sweep = create(sessions, arms={"plain": {"noise_eta": 0.0}})
    run(sessions, sweep)
    assert extend(sessions, sweep, arms={"noisy": {"noise_eta": 0.01}})
    with sessions() as session:
        found = plan_of(session, sweep)
    assert found.contrast is None
    assert "primary" not in found.spec
    run(sessions, sweep)
    assert len(recorded(sessions, sweep)) == 24


def test_fixed_n_results_are_those_of_the_first_plan_and_no_others(sessions: Sessions) -> None:
    sweep = create(sessions)
    run(sessions, sweep)
    with sessions() as session:
        first = build(session, sweep)
    k = first.findings["criteria"][0]["contrasts"][0]
    assert k["interval"]
    extend(sessions, sweep, seeds=8)
    run(sessions, sweep)
    extend(sessions, sweep, seeds=10)
    run(sessions, sweep)
    with sessions() as session:
        found = build(session, sweep)
        assert build(session, sweep).findings_hash == found.findings_hash
    met = found.findings["first_plan"]
    assert (met["seeds"], met["findings_hash"]) == (6, first.findings_hash)
    assert met["criteria"][0]["contrasts"][0] == k
    assert found.run_log["first_plan_met_at"] is not None
    assert len(found.run_log["extended_at"]) == 2
    later = found.findings["criteria"][0]
    assert later["contrasts"][0]["interval"] is None
    assert later["contrasts"][0]["p"] is None
    assert later["contrasts"][0]["anytime"]["interval"]
    assert all(a["interval"] is None and a["anytime"] for a in later["arms"])
    assert found.findings["plan"]["no_intervals"] == (
        "fixed-n intervals and p are not valid after an extension"
    )
    assert [e["seeds"] for e in found.findings["extensions"]] == [(6, 8), (8, 10)]


@pytest.mark.parametrize("of_first_plan", [True, False])
def test_the_first_plan_goes_when_a_worker_of_it_is_excluded_and_only_then(
    sessions: Sessions, *, of_first_plan: bool
) -> None:
    """An arm, settings and seeds are added, so that cells and seeds alone do not tell."""
    honest, sweep = create(sessions), create(sessions)
    for one in (honest, sweep):
        run(sessions, one, worker="b" if of_first_plan else "a")
        assert extend(sessions, one, seeds=8, arms=ARM, grid=GRID)
        run(sessions, one, worker="a" if of_first_plan else "b")
    with sessions.begin() as session:
        exclusion.exclude(session, sweep, "b", "flips", now=moment(9))
        assert (plan_of(session, sweep).met is None) is of_first_plan
    run(sessions, sweep, worker="c")
    with sessions() as session:
        whole, found = build(session, honest), build(session, sweep)
    assert (found.findings["first_plan"] is None) is of_first_plan
    assert found.findings == whole.findings | {"first_plan": found.findings["first_plan"]}
    words = "first plan was met, and its fixed-n results are withdrawn"
    assert (words in headline(found.findings, found.findings["criteria"][0])) is of_first_plan
    assert words not in headline(whole.findings, whole.findings["criteria"][0])


def test_what_criteria_that_were_added_cannot_judge_is_not_added() -> None:
    """Lengths of 4 bits have no digit_error@4 where the sweep trains on 8."""
    spec = {
        "name": "lengths",
        "experiment": "neural_gpu",
        "arms": {"plain": {}},
        "grid": {"bits": [4]},
        "seeds": 2,
        "root": "5eed" * 8,
        "budget": {"steps": 200},
        "fixed": {"beyond": [20]},
        "success": {"metric": "digit_error@20", "at_most": 0.1},
    }
    submitted = parse(spec, experiments())
    added = Criterion(1, "digit_error@4", "at_most", 0.1, "end", primary=False, version=2)
    grown = replace(submitted, criteria=(*submitted.criteria, added))
    wanted = read_extension({"grid": {"bits": [8]}})
    assert missing(submitted, wanted, experiments(), settled=1) is not None
    with pytest.raises(SpecError) as caught:
        missing(grown, wanted, experiments(), settled=1)
    [problem] = caught.value.problems
    assert (problem.field, problem.value) == ("criteria.1", "digit_error@4 <= 0.1 at the end")
    assert "no such metric under some of the sweep's settings" in problem.rule
    assert missing(grown, read_extension({"seeds": 3}), experiments(), settled=1) is not None


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ([], "body", "JSON object"),
        ({}, "body", "names seeds, arms or values"),
        ({"budget": {"steps": 400}}, "budget", "its estimand is another"),
        ({"success": {}}, "success", "PATCH adds criteria"),
        ({"root": "0"}, "root", "streams of one root"),
        ({"fixed": {"depth": 4}}, "fixed", "answer another question"),
        ({"cohort": 3}, "cohort", "cohorts of one size"),
        ({"stop": {}}, "stop", "before the first trial"),
        ({"colour": 1}, "colour", "no such key"),
        ({"seeds": 5}, "seeds", "no trial is taken away"),
        ({"seeds": "9"}, "seeds", "whole number"),
        ({"seeds": 10**8}, "seeds", "more than 10,000,000 trials"),
        ({"arms": {"plain": {"noise_eta": 0.5}}}, "arms.plain", "an arm of this name"),
        ({"arms": {"twin": {"noise_eta": 0.01}}}, "arms.twin", "resolve to the same values"),
        ({"arms": {"odd": {"noise": 7}}}, "arms.odd.noise", ""),
        ({"grid": {"depth": [4]}}, "grid.depth", "depth is fixed in this sweep"),
        ({"grid": {"learning_rate": [-1.0]}}, "grid.learning_rate.2", ""),
    ],
)
def test_what_cannot_be_extended_is_refused_with_the_reason(
    body: Any, field: str, words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        missing(plan(), read_extension(body), experiments(), settled=3)
    assert words in {p.field: p.rule for p in caught.value.problems}[field]
    assert all(p.cure for p in caught.value.problems)

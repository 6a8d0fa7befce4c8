"""Findings rest on the spec and the settled outcomes, and on nothing else."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.report.build import Report, build
from service.report.canonical import canonical
from service.store import claims, classes, completion, sweeps
from service.store.engine import open_engine, session_factory, upgrade
from tests.service.samples import NUMERICS, curve, moment, outcome, plan
from workers.messages import Assignment, Failure, MetricRecord, Outcome

Sessions = sessionmaker[Session]
Yields = Callable[[Assignment], Outcome | Failure]


def create(sessions: Sessions, **changes: Any) -> str:
    """A sweep, pinned to a numerics class."""
    with sessions.begin() as session:
        sweep, _ = sweeps.create(session, plan(**changes), now=moment())
        classes.pin(session, sweep, NUMERICS)
    return sweep


def claim(
    sessions: Sessions, sweep: str, limit: int, worker: str = "w", structure: int = 0
) -> list[Assignment]:
    """Claims up to so many trials."""
    with sessions.begin() as session:
        return claims.claim(session, sweep, structure, limit, worker=worker, now=moment(1))


def complete(
    sessions: Sessions, returned: list[Outcome | Failure], when: float = 2, attempts: int = 3
) -> None:
    """Completes what came back."""
    with sessions.begin() as session:
        completion.complete(
            session,
            outcomes=[r for r in returned if isinstance(r, Outcome)],
            failures=[r for r in returned if isinstance(r, Failure)],
            dropped=[],
            numerics_id=classes.class_id(NUMERICS),
            max_attempts=attempts,
            now=moment(when),
        )


def undisturbed(sessions: Sessions, sweep: str, yields: Yields = outcome) -> Report:
    """Every trial in the order of its claim, at its first attempt."""
    while taken := claim(sessions, sweep, 64):
        complete(sessions, [yields(t) for t in taken], attempts=1)
    return report(sessions, sweep)


def disturbed(sessions: Sessions, sweep: str, seed: int, yields: Yields = outcome) -> Report:
    """Random order, many workers, attempts that fail and are tried again, odd times."""
    chance = random.Random(seed)
    out: list[Assignment] = []
    while True:
        out += claim(sessions, sweep, chance.randint(1, 9), worker=f"w{chance.random()}")
        if not out:
            return report(sessions, sweep)
        task = out.pop(chance.randrange(len(out)))
        again = task.attempt < 3 and chance.random() < 0.3
        back = Failure(task.trial, task.attempt, "lost", "") if again else yields(task)
        last = isinstance(back, Failure) and not again
        complete(sessions, [back], chance.random() * 1000, attempts=1 if last else 9)


def report(sessions: Sessions, sweep: str) -> Report:
    """The report as it stands."""
    with sessions() as session:
        return build(session, sweep)


def primary(found: Report) -> dict[str, Any]:
    """The findings at the primary criterion."""
    return next(c for c in found.findings["criteria"] if c["primary"])


@pytest.mark.parametrize("seed", range(3))
def test_the_hash_knows_nothing_of_order_workers_attempts_and_times(
    sessions: Sessions, seed: int
) -> None:
    calm = undisturbed(sessions, create(sessions))
    shot_at = disturbed(sessions, create(sessions), seed)
    assert shot_at.findings == calm.findings
    assert shot_at.findings_hash == calm.findings_hash
    assert shot_at.run_log["trials_tried_again"] > 0
    assert shot_at.run_log["workers"] != calm.run_log["workers"]


def test_findings_are_the_same_to_the_byte_on_both_databases_in_any_order(
    engine: Engine, tmp_path: Path
) -> None:
    """Three arms, two metrics whose names databases sort differently, times to success."""
    other = open_engine(f"sqlite:///{tmp_path / 'other.db'}")
    upgrade(other)
    changes: dict[str, Any] = {
        "arms": {"plain": {"noise_eta": 0.0}, "a": {"noise_eta": 0.01}, "b": {"noise_eta": 0.1}},
        "primary": {"arm": "b", "against": "plain"},
        "success": {"metric": "test_accuracy", "at_least": 0.5, "at": "any"},
    }

    def yields(task: Assignment) -> Outcome | Failure:
        if task.seed == 4 and task.values["noise_eta"] == 0.01:
            return Failure(task.trial, task.attempt, "lost", "")
        value = 1 / (3 + task.seed) + task.values["noise_eta"] + task.values["learning_rate"]
        metrics = {name: MetricRecord(value, value, 200) for name in ("test_accuracy", "B", "a_")}
        evaluated = curve([100, 200], [value / 2, value])
        return outcome(task, metrics=metrics, curve=evaluated)

    def both(found: Engine, seed: int | None) -> bytes:
        sessions = session_factory(found)
        sweep = create(sessions, **changes)
        if seed is None:
            return canonical(undisturbed(sessions, sweep, yields).findings)
        return canonical(disturbed(sessions, sweep, seed, yields).findings)

    calm = both(other, None)
    assert b'"times":{' in calm
    assert both(engine, None) == calm
    assert both(engine, 7) == calm
    other.dispose()


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "another"},
        {"steps": 150, "end_state": "diverged", "metrics": {}},
    ],
    ids=["weights", "end"],
)
def test_one_changed_outcome_changes_the_hash(sqlite: Engine, change: dict[str, Any]) -> None:
    sessions = session_factory(sqlite)
    calm = undisturbed(sessions, create(sessions))

    def changed(task: Assignment) -> Outcome:
        values = task.values["noise_eta"], task.values["learning_rate"]
        one = (task.seed, *values) == (3, 0.01, 0.1)
        return outcome(task, **(change if one else {}))

    assert undisturbed(sessions, create(sessions), changed).findings_hash != calm.findings_hash


def test_findings_hold_no_id_time_worker_or_attempt(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    found = undisturbed(sessions, sweep)
    text = json.dumps(dict(found.findings))
    assert sweep not in text
    assert str(moment().year) not in text
    assert not {"worker", "attempt", "created_at", "seconds"} & set(text.split('"'))
    assert found.run_log["sweep"] == sweep


def test_counts_are_those_of_a_hand_made_table(sqlite: Engine) -> None:
    """Plain succeeds at seeds 0 and 3, noisy at 0 and 1, in both settings."""
    sessions = session_factory(sqlite)

    def made(task: Assignment) -> Outcome:
        good = (0, 1) if task.values["noise_eta"] else (0, 3)
        return outcome(task, 0.95 if task.seed in good else 0.2)

    found = undisturbed(sessions, create(sessions), made)
    assert [(e["arm"], e["successes"], e["n"]) for e in primary(found)["arms"]] == [
        ("plain", 4, 12),
        ("noisy", 4, 12),
    ]
    (contrast,) = primary(found)["contrasts"]
    assert contrast["table"] == {"both": 2, "only_a": 2, "only_b": 2, "neither": 6}
    assert contrast["difference"] == 0
    assert contrast["p"] == 1.0
    assert [len(c["cells"]) for c in found.findings["criteria"]] == [4, 4]


def test_an_interim_report_gives_counts_of_settled_seeds_and_no_interval(
    sqlite: Engine,
) -> None:
    """12 of 24 trials are in; the second cohort lacks its failures."""
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    first = claim(sessions, sweep, 8)
    complete(sessions, [outcome(t, 0.95 if t.seed else 0.2) for t in first])
    second = claim(sessions, sweep, 8)
    complete(sessions, [outcome(t, 0.95) for t in second[:4]])
    found = report(sessions, sweep).findings
    assert (found["plan"]["settled_seeds"], found["plan"]["complete"]) == (2, False)
    for criterion in found["criteria"]:
        for e in (*criterion["arms"], *criterion["cells"]):
            assert e["interval"] is None
            assert e["rate"] == 0.5
        assert criterion["contrasts"][0]["interval"] is criterion["contrasts"][0]["p"] is None


def test_what_infrastructure_lost_is_bounded_and_may_forbid_the_claim(sqlite: Engine) -> None:
    """Noisy wins 3 pairs of 12, and 4 of its trials are lost: the sign is not sure."""
    sessions = session_factory(sqlite)

    def lossy(lost: int) -> Yields:
        def made(task: Assignment) -> Outcome | Failure:
            noisy, rank = task.values["noise_eta"] > 0, 2 * task.seed
            rank += task.values["learning_rate"] > 0.15
            if not noisy and rank >= 12 - lost:
                return Failure(task.trial, task.attempt, "the card fell off the bus", "")
            return outcome(task, 0.95 if noisy and rank < 3 else 0.2)

        return made

    def contrast(lost: int) -> dict[str, Any]:
        found = undisturbed(sessions, create(sessions), lossy(lost))
        return dict(primary(found)["contrasts"][0])

    four, two, none = contrast(4), contrast(2), contrast(0)
    assert (four["pairs"], two["pairs"], none["pairs"]) == (8, 10, 12)
    assert sum(four["incomplete_pairs"].values()) == 4
    assert four["bounds"] == pytest.approx([(3 - 4) / 12, 3 / 12])
    assert four["bounds_allow_other_sign"] is True
    assert two["bounds"] == pytest.approx([(3 - 2) / 12, 3 / 12])
    assert two["bounds_allow_other_sign"] is False
    assert none["bounds"] == pytest.approx([0.25, 0.25])


def test_with_three_arms_only_the_declared_contrast_is_confirmatory(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    arms = {"plain": {"noise_eta": 0.0}, "a": {"noise_eta": 0.01}, "b": {"noise_eta": 0.1}}
    sweep = create(sessions, arms=arms, primary={"arm": "b", "against": "plain"})
    found = undisturbed(sessions, sweep).findings
    flags = {
        (c["threshold"], k["arm"]): (k["primary"], k["exploratory"])
        for c in found["criteria"]
        for k in c["contrasts"]
    }
    assert flags == {
        (0.9, "b"): (True, False),
        (0.9, "a"): (False, True),
        (0.5, "b"): (False, True),
        (0.5, "a"): (False, True),
    }


def test_rates_of_arrivals_mislead_and_settled_ones_do_not(sqlite: Engine) -> None:
    """8 lanes; a success ends after 1 tick, a failure after 10; someone looks at every tick.

    One trial in three succeeds, in every cohort. Among arrivals the rate is far too high at most
    looks; the rate that is shown is the truth at each.
    """
    sessions = session_factory(sqlite)
    sweep = create(sessions, seeds=12, cohort=3)
    running: list[tuple[int, Assignment]] = []
    arrived: list[Assignment] = []
    too_high = shown = 0
    for tick in range(1000):
        ended = [task for end, task in running if end == tick]
        running = [(end, task) for end, task in running if end > tick]
        arrived += ended
        complete(sessions, [outcome(task) for task in ended])
        for task in claim(sessions, sweep, 8 - len(running)):
            running.append((tick + (1 if task.seed % 3 == 0 else 10), task))
        if not running:
            break
        if arrived:
            too_high += sum(task.seed % 3 == 0 for task in arrived) > 0.4 * len(arrived)
        for e in primary(report(sessions, sweep))["arms"]:
            shown += e["n"] > 0
            assert e["rate"] is None or e["rate"] == pytest.approx(1 / 3)
    assert len(arrived) == 48
    assert too_high > 5
    assert shown > 10

"""Exclusion: a worker's trials of a sweep are run again by others, and a trail of it stays.

Their outcomes are taken out with everything that was counted of them, and the cohorts that they
were in, and all after those, settle anew. The worker gets no trial of the sweep from then on, and
what it still returns is refused by its attempt. The trail keeps what was excluded: trials are
deterministic, so that an honest worker's come out the same.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from service.store.batch import write
from service.store.counters import Additions, Move, add, add_successes, count
from service.store.errors import StateConflictError
from service.store.plans import extensions_of, plan_of
from service.store.release import hand_back
from service.store.sweeps import lock
from service.store.tables import (
    END_STATES,
    HAS_OUTCOME,
    OPEN_SWEEPS,
    cells,
    cohorts,
    excluded_trials,
    exclusions,
    outcomes,
    plans_met,
    replays,
    results,
    successes,
    sweeps,
    trials,
)
from service.store.unsettling import unsettle

_ENDED = tuple(state for state in END_STATES if state != "cancelled")


@dataclass(frozen=True)
class Exclusion:
    """A worker that was excluded from a sweep.

    Attributes:
        trials: of its trials, those that had ended and are run again.
        equal, different: of those, how many came out the same, and otherwise, by now.
        pending: how many are not settled again.
        without_outcome: how many have no outcome to compare, before or now: errored or cancelled.
    """

    id: int
    worker: str
    reason: str
    excluded_at: datetime
    trials: int
    equal: int
    different: int
    pending: int
    without_outcome: int


def exclude(session: Session, sweep: str, worker: str, reason: str, *, now: datetime) -> Exclusion:
    """Excludes a worker; one that is excluded already stays so, under its first reason.

    Raises:
        UnknownSweepError: there is no such sweep.
        StateConflictError: it is cancelled, was stopped by its rule, or the worker ran none of it.
    """
    held = lock(session, sweep)
    known = [e for e in trail(session, sweep) if e.worker == worker]
    if known:
        return known[0]
    if held["stopped_when"] is not None:
        raise StateConflictError(
            f"sweep {sweep} was stopped by its rule ({held['stopped_when']}), and what would be "
            "needed if the rule is not met any more was cancelled; its trials are not run again",
            "submit the same spec with its root: equal trials, without that worker",
        )
    if held["state"] in ("cancelling", "cancelled"):
        raise StateConflictError(
            f"sweep {sweep} is {held['state']}; nothing of it is run again",
            f"take it up again with `seedbed extend {sweep} --seeds {held['seeds']}`, and exclude "
            "the worker then"
            if extensions_of(session, sweep)
            else "submit the same spec with its root: equal trials, without that worker",
        )
    mine = (trials.c.sweep == sweep) & (trials.c.worker == worker)
    ended = mine & trials.c.state.in_(_ENDED)
    running = session.execute(
        select(trials.c.id, trials.c.attempt).where(mine, trials.c.state == "running")
    ).all()
    size, first = session.execute(
        select(func.count(), func.min(trials.c.cohort)).where(ended)
    ).one()
    if not size and not running:
        names = ", ".join(_workers(session, sweep)) or "its workers, once there are any"
        raise StateConflictError(
            f"worker {worker!r} ran no trial of sweep {sweep}; only one that did is excluded",
            f"name one of {names}",
        )
    if size:
        unsettle(session, held, first)
    row = {"sweep": sweep, "worker": worker, "reason": reason, "excluded_at": now, "trials": size}
    made = insert(exclusions).values(row).returning(exclusions.c.id)
    made_id = int(session.execute(made).scalar_one())
    _forget_first_plan(session, sweep, ended)
    _keep(session, made_id, ended)
    _take_out(session, sweep, ended, now)
    if held["state"] == "finished" and size:
        again = {"state": "running", "ended_at": None, "reason": None}
        session.execute(update(sweeps).where(sweeps.c.id == sweep).values(again))
    hand_back(session, [(r.id, r.attempt) for r in running], now=now)
    return next(e for e in trail(session, sweep) if e.id == made_id)


def _forget_first_plan(session: Session, sweep: str, ended: ColumnElement[bool]) -> None:
    """What was frozen when the first plan was met goes if it rests on what is taken out."""
    kept = select(plans_met.c.met_at).where(plans_met.c.sweep == sweep)
    if session.execute(kept).one_or_none() is None:
        return
    plan = plan_of(session, sweep)
    arms = len(plan.arms) - sum(len(e.arms) for e in plan.extensions)
    settings = math.prod(
        len(values) - sum(len(e.grid.get(key, ())) for e in plan.extensions)
        for key, values in plan.spec["grid"].items()
    )  # what an extension adds comes after what there was
    of_first = (
        (trials.c.arm < arms)
        & (trials.c.setting < settings)
        & (trials.c.seed < plan.extensions[0].seeds[0])
    )
    if session.scalar(select(func.count()).where(ended, of_first)):
        session.execute(delete(plans_met).where(plans_met.c.sweep == sweep))


def _keep(session: Session, exclusion: int, ended: ColumnElement[bool]) -> None:
    """Writes down what is taken out."""
    metrics: dict[int, dict[str, list[Any]]] = defaultdict(dict)
    columns = (results.c.trial, results.c.metric, results.c.final, results.c.best)
    query = select(*columns, results.c.best_step).join(trials, trials.c.id == results.c.trial)
    for r in session.execute(query.where(ended)):
        metrics[r.trial][r.metric] = [r.final, r.best, r.best_step]
    found = session.execute(
        select(
            trials.c.id, trials.c.attempt, trials.c.state, outcomes.c.steps, outcomes.c.fingerprint
        )
        .outerjoin(outcomes, outcomes.c.trial == trials.c.id)
        .where(ended)
        .order_by(trials.c.id)
    )
    write(
        session,
        excluded_trials,
        ("exclusion", "trial", "attempt", "state", "steps", "fingerprint", "metrics"),
        [(exclusion, *r, _text(metrics.get(r.id, {}))) for r in found],
    )


def _text(metrics: dict[str, list[Any]]) -> str:
    return json.dumps(metrics, sort_keys=True)


def _take_out(session: Session, sweep: str, ended: ColumnElement[bool], now: datetime) -> None:
    """Outcomes go, with counters and replays that are not over, and the trials wait again."""
    by_cell: Additions = defaultdict(Counter)
    by_cohort: Additions = defaultdict(Counter)
    moves: list[Move] = []
    key = (trials.c.cell, trials.c.arm, trials.c.structure, trials.c.cohort, trials.c.state)
    for r in session.execute(select(*key, func.count().label("n")).where(ended).group_by(*key)):
        by_cell[r.cell,][r.state] -= r.n
        by_cohort[sweep, r.cohort]["terminal"] -= r.n
        moves += [Move(r.cell, r.arm, r.structure, r.cohort, r.state, "waiting")] * r.n
    won = (
        select(trials.c.cell, trials.c.arm, successes.c.criterion, func.count().label("n"))
        .join(successes, successes.c.trial == trials.c.id)
        .where(ended, successes.c.success == 1)
        .group_by(trials.c.cell, trials.c.arm, successes.c.criterion)
    )
    lost = {(r.cell, r.arm, r.criterion): -r.n for r in session.execute(won)}
    add_successes(session, sweep, "arrived", lost)
    count(session, sweep, moves)
    add(session, cells, ("id",), END_STATES, by_cell)
    add(session, cohorts, ("sweep", "index"), ("terminal",), by_cohort)
    which = select(trials.c.id).where(ended)
    gone = {"state": "failed", "ended_at": now, "error": "the outcome was excluded"}
    unheard = replays.c.trial.in_(which) & replays.c.state.in_(("waiting", "running"))
    session.execute(update(replays).where(unheard).values(gone))
    for table in (successes, results, outcomes):
        session.execute(delete(table).where(table.c.trial.in_(which)))
    cleared = {"ended_at": None, "error": None, "traceback": None, "losses": 0, "failures": 0}
    session.execute(update(trials).where(ended).values(state="waiting", **cleared))


def _workers(session: Session, sweep: str) -> Sequence[str]:
    query = select(trials.c.worker).where(trials.c.sweep == sweep, trials.c.worker.is_not(None))
    return [str(name) for name in session.scalars(query.distinct().order_by(trials.c.worker))]


def banned(session: Session) -> dict[str, frozenset[str]]:
    """Open sweep -> workers that get none of its trials."""
    found: dict[str, set[str]] = defaultdict(set)
    query = select(exclusions.c.sweep, exclusions.c.worker)
    for r in session.execute(
        query.join(sweeps, sweeps.c.id == exclusions.c.sweep).where(sweeps.c.state.in_(OPEN_SWEEPS))
    ):
        found[r.sweep].add(r.worker)
    return {sweep: frozenset(workers) for sweep, workers in found.items()}


def barred(session: Session, sweep: str) -> frozenset[str]:
    """Workers that get none of a sweep's trials; where its lock is held, none joins them."""
    return frozenset(session.scalars(_BARRED, {"of": sweep}))


def barred_of(session: Session, among: Collection[str]) -> dict[str, frozenset[str]]:
    """Each of these sweeps -> workers that get none of its trials."""
    found: dict[str, set[str]] = {sweep: set() for sweep in among}
    query = select(exclusions.c.sweep, exclusions.c.worker)
    for r in session.execute(query.where(exclusions.c.sweep.in_(sorted(found)))) if found else ():
        found[r.sweep].add(r.worker)
    return {sweep: frozenset(workers) for sweep, workers in found.items()}


_BARRED = select(exclusions.c.worker).where(exclusions.c.sweep == bindparam("of"))


def trail(session: Session, sweep: str) -> list[Exclusion]:
    """Who was excluded, and what became of their trials, first things first."""
    rows = session.execute(
        select(exclusions).where(exclusions.c.sweep == sweep).order_by(exclusions.c.id)
    ).all()
    found = _compared(session, sweep) if rows else {}
    return [
        Exclusion(
            r.id,
            r.worker,
            r.reason,
            r.excluded_at,
            r.trials,
            (n := found.get(r.id, Counter()))["equal"],
            n["different"],
            n["pending"],
            n["without_outcome"],
        )
        for r in rows
    ]


def _compared(session: Session, sweep: str) -> dict[int, Counter[str]]:
    """What was excluded against what stands now; of what is not settled nothing is told."""
    here = (exclusions.c.sweep == sweep, excluded_trials.c.exclusion == exclusions.c.id)
    measured: dict[int, dict[str, list[Any]]] = defaultdict(dict)
    columns = (results.c.trial, results.c.metric, results.c.final, results.c.best)
    again = select(excluded_trials.c.trial).join(exclusions, here[1]).where(here[0])
    query = select(*columns, results.c.best_step).where(results.c.trial.in_(again))
    for r in session.execute(query):
        measured[r.trial][r.metric] = [r.final, r.best, r.best_step]
    rows = session.execute(
        select(
            excluded_trials,
            trials.c.state.label("now"),
            (trials.c.cohort < sweeps.c.settled_cohorts).label("settled"),
            outcomes.c.steps.label("steps_now"),
            outcomes.c.fingerprint.label("fingerprint_now"),
        )
        .join(exclusions, here[1])
        .join(trials, trials.c.id == excluded_trials.c.trial)
        .join(sweeps, sweeps.c.id == trials.c.sweep)
        .outerjoin(outcomes, outcomes.c.trial == trials.c.id)
        .where(here[0])
    )
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for r in rows:
        before = (r.state, r.steps, r.fingerprint, r.metrics)
        after = (r.now, r.steps_now, r.fingerprint_now, _text(measured.get(r.trial, {})))
        if r.now != "cancelled" and not r.settled:
            came = "pending"
        elif r.state not in HAS_OUTCOME or r.now not in HAS_OUTCOME:
            came = "without_outcome"
        else:
            came = "equal" if before == after else "different"
        found[r.exclusion][came] += 1
    return found

"""Criteria that are added to a sweep: judged in SQL by what is recorded, and nothing is trained.

One transaction under the sweep's lock writes the criterion, every success, and every counter, so
that afterwards the store is as if the criterion had been there from the start, but for its version;
what completes later finds it among the sweep's criteria.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Integer, case, func, insert, literal, select, update
from sqlalchemy.orm import Session

from service.plan import Criterion
from service.store.errors import StateConflictError
from service.store.pairing import count_criterion
from service.store.plans import criterion_row
from service.store.progress import criteria_of
from service.store.sweeps import lock
from service.store.tables import (
    HAS_OUTCOME,
    arm_successes,
    arms,
    cell_successes,
    cells,
    criteria,
    exclusions,
    outcomes,
    results,
    successes,
    sweeps,
    trials,
)
from service.words import rule

#: a sweep has at most so many criteria: each costs a row a trial
MOST = 64


def add_criteria(
    session: Session, sweep: str, wanted: Sequence[Criterion], *, now: datetime
) -> tuple[Criterion, ...]:
    """Adds criteria, whose index, version and mark are decided here; returns them as they are.

    They come in canonical order, whatever the order in which they are asked for. They are post hoc
    if any trial of the sweep has an outcome.

    Raises:
        UnknownSweepError: there is no such sweep.
        StateConflictError: one is there already, or there would be too many.
    """
    version = lock(session, sweep)["criteria_version"] + 1
    there = criteria_of(session, sweep)
    _refuse(sweep, there, wanted)
    seen = session.scalar(select(_ARRIVED).where(arms.c.sweep == sweep)) or session.scalar(
        select(func.count()).select_from(exclusions).where(exclusions.c.sweep == sweep)
    )  # what was excluded had been seen
    ordered = sorted(wanted, key=lambda c: (c.metric, c.at, c.comparison, c.threshold))
    added = tuple(
        replace(c, index=i, primary=False, version=version, post_hoc=bool(seen))
        for i, c in enumerate(ordered, len(there))
    )
    for c in added:
        session.execute(insert(criteria).values(**criterion_row(sweep, c), added_at=now))
        _judge(session, sweep, c)
        _count(session, sweep, c.index)
        count_criterion(session, sweep, c.index)
    session.execute(update(sweeps).where(sweeps.c.id == sweep).values(criteria_version=version))
    return added


_ARRIVED = sum((func.sum(arms.c[s]) for s in HAS_OUTCOME[1:]), func.sum(arms.c[HAS_OUTCOME[0]]))


def _refuse(sweep: str, there: Sequence[Criterion], wanted: Sequence[Criterion]) -> None:
    known = {_rule(c): c for c in there}
    for c in wanted:
        twin = known.get(_rule(c))
        if twin is not None:
            since = "as submitted" if twin.version == 1 else f"since version {twin.version}"
            raise StateConflictError(
                f"sweep {sweep} has the criterion {rule(vars(c))} at {c.at} already: it is its "
                f"criterion {twin.index}, {since}; nothing was added",
                "leave it out",
            )
    if len(there) + len(wanted) > MOST:
        raise StateConflictError(
            f"sweep {sweep} has {len(there)} criteria and would have {len(there) + len(wanted)}; "
            f"the most are {MOST}, and none is taken away once it was looked at",
            f"add at most {MOST - len(there)}",
        )


def _rule(c: Criterion) -> tuple[str, str, float, str]:
    return c.metric, c.comparison, c.threshold, c.at


def _judge(session: Session, sweep: str, c: Criterion) -> None:
    """A success, or none, for every outcome; as `service.store.completion.succeeded` has it."""
    value = results.c.final if c.at == "end" else results.c.best
    met = value <= c.threshold if c.comparison == "at_most" else value >= c.threshold
    measured = (results.c.trial == trials.c.id) & (results.c.metric == c.metric)
    session.execute(
        insert(successes).from_select(
            ["trial", "criterion", "success"],
            select(trials.c.id, literal(c.index, Integer), case((met, 1), else_=0))
            .join(outcomes, outcomes.c.trial == trials.c.id)
            .outerjoin(results, measured)
            .where(trials.c.sweep == sweep),
        )
    )


def _count(session: Session, sweep: str, index: int) -> None:
    """The counters of cells out of their successes, those of arms out of their cells'."""
    settled = trials.c.cohort < sweeps.c.settled_cohorts
    won = (
        select(
            trials.c.cell,
            func.count().label("arrived"),
            func.sum(case((settled, 1), else_=0)).label("settled"),
        )
        .join(sweeps, sweeps.c.id == trials.c.sweep)
        .join(successes, successes.c.trial == trials.c.id)
        .where(trials.c.sweep == sweep, successes.c.criterion == index, successes.c.success == 1)
        .group_by(trials.c.cell)
        .subquery("won")
    )
    counted = (func.coalesce(won.c.arrived, 0), func.coalesce(won.c.settled, 0))
    number = literal(index, Integer)
    session.execute(
        insert(cell_successes).from_select(
            ["cell", "criterion", "arrived", "settled"],
            select(cells.c.id, number, *counted)
            .outerjoin(won, won.c.cell == cells.c.id)
            .where(cells.c.sweep == sweep),
        )
    )
    of_arm = (func.sum(cell_successes.c.arrived), func.sum(cell_successes.c.settled))
    session.execute(
        insert(arm_successes).from_select(
            ["sweep", "arm", "criterion", "arrived", "settled"],
            select(cells.c.sweep, cells.c.arm, number, *of_arm)
            .join(cell_successes, cell_successes.c.cell == cells.c.id)
            .where(cells.c.sweep == sweep, cell_successes.c.criterion == index)
            .group_by(cells.c.sweep, cells.c.arm),
        )
    )

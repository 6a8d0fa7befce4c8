"""Settled data for reports: paired tables counted in SQL, outcomes streamed in a fixed order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from service.store.tables import (
    HAS_OUTCOME,
    cells,
    numerics_classes,
    outcomes,
    results,
    successes,
    sweep_classes,
    sweeps,
    trials,
)


@dataclass(frozen=True)
class PairTable:
    """Pairs of two arms over settled cohorts.

    Attributes:
        both, only_a, only_b, neither: pairs whose members both have an outcome.
        a_won, a_lost: pairs in which only arm a has an outcome, by whether it succeeded.
        b_won, b_lost: the same of arm b.
        missing: pairs in which neither has.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    a_won: int = 0
    a_lost: int = 0
    b_won: int = 0
    b_lost: int = 0
    missing: int = 0


def pair_table(session: Session, sweep: str, criterion: int, arm_a: int, arm_b: int) -> PairTable:
    """Counts pairs by what became of their members; arms are given by index."""
    settled = select(sweeps.c.settled_cohorts).where(sweeps.c.id == sweep).scalar_subquery()
    # 1 success, 0 none, 2 no outcome
    verdict = case(
        (trials.c.state.in_(HAS_OUTCOME), func.coalesce(successes.c.success, 0)), else_=2
    )
    pairs = (  # one pass and one grouping; a self-join would be quadratic
        select(
            func.max(case((trials.c.arm == arm_a, verdict))).label("a"),
            func.max(case((trials.c.arm == arm_b, verdict))).label("b"),
        )
        .outerjoin(
            successes, (successes.c.trial == trials.c.id) & (successes.c.criterion == criterion)
        )
        .where(
            trials.c.sweep == sweep,
            trials.c.arm.in_((arm_a, arm_b)),
            trials.c.cohort < settled,
        )
        .group_by(trials.c.setting, trials.c.seed)
        .subquery("pairs")
    )
    rows = session.execute(
        select(pairs.c.a, pairs.c.b, func.count()).group_by(pairs.c.a, pairs.c.b)
    )
    n = {(x, y): count for x, y, count in rows}
    return PairTable(
        both=n.get((1, 1), 0),
        only_a=n.get((1, 0), 0),
        only_b=n.get((0, 1), 0),
        neither=n.get((0, 0), 0),
        a_won=n.get((1, 2), 0),
        a_lost=n.get((0, 2), 0),
        b_won=n.get((2, 1), 0),
        b_lost=n.get((2, 0), 0),
        missing=n.get((2, 2), 0),
    )


def settled_outcomes(session: Session, sweep: str) -> Iterator[dict[str, Any]]:
    """Every trial of the settled cohorts, by (cell, seed): what the outcomes' hash is taken over.

    An errored trial appears with its end state alone.
    """
    settled = select(sweeps.c.settled_cohorts).where(sweeps.c.id == sweep).scalar_subquery()
    query = (
        select(
            cells.c.index.label("cell"),
            trials.c.seed,
            trials.c.state,
            outcomes.c.steps,
            outcomes.c.fingerprint,
            results.c.metric,
            results.c.final,
            results.c.best,
            results.c.best_step,
        )
        .join(cells, cells.c.id == trials.c.cell)
        .outerjoin(outcomes, outcomes.c.trial == trials.c.id)
        .outerjoin(results, results.c.trial == trials.c.id)
        .where(trials.c.sweep == sweep, trials.c.cohort < settled)
        .order_by(cells.c.index, trials.c.seed, results.c.metric)
        .execution_options(yield_per=2000)
    )
    current: dict[str, Any] | None = None
    for r in session.execute(query):
        if current is None or (current["cell"], current["seed"]) != (r.cell, r.seed):
            if current is not None:
                yield current
            current = {
                "cell": r.cell,
                "seed": r.seed,
                "end_state": r.state,
                "steps": r.steps,
                "fingerprint": r.fingerprint,
                "metrics": {},
            }
        if r.metric is not None:
            current["metrics"][r.metric] = [r.final, r.best, r.best_step]
    if current is not None:
        yield current


def run_facts(session: Session, sweep: str) -> Mapping[str, Any]:
    """What goes into the run log: attempts, workers and numerics classes."""
    here = trials.c.sweep == sweep
    rows, retried, most = session.execute(
        select(
            func.count(),
            func.sum(case((trials.c.attempt > 1, 1), else_=0)),
            func.max(trials.c.attempt),
        ).where(here)
    ).one()
    workers = session.execute(
        select(trials.c.worker, func.count())
        .where(here, trials.c.worker.is_not(None))
        .group_by(trials.c.worker)
        .order_by(trials.c.worker)
    )
    classes = session.execute(
        select(numerics_classes.c.id, numerics_classes.c.content)
        .join(sweep_classes, sweep_classes.c.class_id == numerics_classes.c.id)
        .where(sweep_classes.c.sweep == sweep)
        .order_by(sweep_classes.c.rank)
    )
    return {
        "trials_claimed": rows,
        "trials_tried_again": int(retried or 0),
        "most_attempts": most or 0,
        "workers": dict(workers.all()),
        "numerics_classes": [{"id": i} | dict(content) for i, content in classes],
    }

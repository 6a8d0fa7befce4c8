"""Evaluation curves of settled trials, streamed: of the first seeds of every cell, in pairs."""

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import cells, outcomes, sweeps, trials


def settled_curves(session: Session, sweep: str, seeds: int) -> Iterator[tuple[int, str, bytes]]:
    """Arm, end state and curve of settled trials whose seed is below `seeds`, by (cell, seed)."""
    settled = select(sweeps.c.settled_cohorts).where(sweeps.c.id == sweep).scalar_subquery()
    query = (
        select(trials.c.arm, trials.c.state, outcomes.c.curve)
        .join(cells, cells.c.id == trials.c.cell)
        .join(outcomes, outcomes.c.trial == trials.c.id)
        .where(trials.c.sweep == sweep, trials.c.cohort < settled, trials.c.seed < seeds)
        .order_by(cells.c.index, trials.c.seed)
        .execution_options(yield_per=500)
    )
    rows = session.execute(query)
    return ((row.arm, row.state, row.curve) for row in rows)


def curve_of(session: Session, trial: int) -> bytes:
    """The curve of a trial that has an outcome, as its worker made it."""
    found: bytes = session.scalars(select(outcomes.c.curve).where(outcomes.c.trial == trial)).one()
    return found

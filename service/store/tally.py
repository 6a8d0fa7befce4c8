"""What trials of cohorts come to, added to the settled counters or taken out of them."""

from collections import Counter, defaultdict

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from service.store.counters import Additions, add, add_successes
from service.store.tables import END_STATES, arms, cells, successes, trials

_SETTLED = tuple(f"settled_{state}" for state in END_STATES)


def tally(session: Session, sweep: str, first: int, beyond: int, sign: int) -> None:
    """Moves the settled counters of arms, cells and successes by whole cohorts.

    Args:
        first, beyond: the cohorts from `first` up to, and without, `beyond`.
        sign: 1 to add what their trials come to, -1 to take it out.
    """
    here = {"of": sweep, "first": first, "beyond": beyond}
    by_arm: Additions = defaultdict(Counter)
    by_cell: Additions = defaultdict(Counter)
    for r in session.execute(_ENDED, here):
        by_arm[sweep, r.arm][f"settled_{r.state}"] += sign * r.n
        by_cell[r.cell,][f"settled_{r.state}"] += sign * r.n
    add(session, arms, ("sweep", "index"), _SETTLED, by_arm)
    add(session, cells, ("id",), _SETTLED, by_cell)
    won = {(r.cell, r.arm, r.criterion): sign * r.n for r in session.execute(_WON, here)}
    add_successes(session, sweep, "settled", won)


_HERE = (
    trials.c.sweep == bindparam("of"),
    trials.c.cohort >= bindparam("first"),
    trials.c.cohort < bindparam("beyond"),
)
_ENDED = (
    select(trials.c.cell, trials.c.arm, trials.c.state, func.count().label("n"))
    .where(*_HERE)
    .group_by(trials.c.cell, trials.c.arm, trials.c.state)
)
_WON = (
    select(trials.c.cell, trials.c.arm, successes.c.criterion, func.count().label("n"))
    .join(successes, successes.c.trial == trials.c.id)
    .where(*_HERE, successes.c.success == 1)
    .group_by(trials.c.cell, trials.c.arm, successes.c.criterion)
)

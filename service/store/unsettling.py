"""Unsettling: takes cohorts back out of the settled counters, so that they may settle anew.

The exact reverse of `service.store.settling`: what those cohorts gave is counted again from their
trials, which must not have changed since, and subtracted.
"""

from collections import Counter, defaultdict
from typing import Any

from sqlalchemy import RowMapping, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from service.store.counters import Additions, add, add_successes
from service.store.pairing import COUNTED
from service.store.tables import (
    END_STATES,
    arms,
    cells,
    cohort_pairs,
    pair_counts,
    successes,
    sweeps,
    trials,
)

_SETTLED = tuple(f"settled_{state}" for state in END_STATES)
_KEYS = ("sweep", "criterion", "arm", "against")


def unsettle(session: Session, held: RowMapping, first: int) -> None:
    """Makes a cohort and all after it unsettled; one that is not settled stays as it is.

    Args:
        held: the sweep's row, locked; no stop rule has stopped it.
        first: the cohort.
    """
    sweep, settled = held["id"], held["settled_cohorts"]
    if first >= settled:
        return
    here = {"of": sweep, "first": first, "settled": settled}
    by_arm: Additions = defaultdict(Counter)
    by_cell: Additions = defaultdict(Counter)
    for r in session.execute(_ENDED, here):
        by_arm[sweep, r.arm][f"settled_{r.state}"] -= r.n
        by_cell[r.cell,][f"settled_{r.state}"] -= r.n
    add(session, arms, ("sweep", "index"), _SETTLED, by_arm)
    add(session, cells, ("id",), _SETTLED, by_cell)
    won = {(r.cell, r.arm, r.criterion): -r.n for r in session.execute(_WON, here)}
    add_successes(session, sweep, "settled", won)
    pairs: Additions = defaultdict(Counter)
    for r in session.execute(_PAIRS, here):
        for name in COUNTED:
            pairs[sweep, r.criterion, r.arm, r.against][name] -= getattr(r, name)
    add(session, pair_counts, _KEYS, COUNTED, pairs)
    session.execute(_FORGET, here)
    session.execute(update(sweeps).where(sweeps.c.id == sweep).values(settled_cohorts=first))


def _between(column: Any) -> Any:
    return (column >= bindparam("first")) & (column < bindparam("settled"))


_HERE = (trials.c.sweep == bindparam("of"), _between(trials.c.cohort))
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
_THESE = (cohort_pairs.c.sweep == bindparam("of"), _between(cohort_pairs.c.cohort))
_PAIRS = (
    select(
        cohort_pairs.c.criterion,
        cohort_pairs.c.arm,
        cohort_pairs.c.against,
        *(func.sum(cohort_pairs.c[name]).label(name) for name in COUNTED),
    )
    .where(*_THESE)
    .group_by(cohort_pairs.c.criterion, cohort_pairs.c.arm, cohort_pairs.c.against)
)
_FORGET = delete(cohort_pairs).where(*_THESE)

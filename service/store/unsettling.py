"""Unsettling: takes cohorts back out of the settled counters, so that they may settle anew.

The exact reverse of `service.store.settling`: what those cohorts gave is counted again from their
trials, which must not have changed since, and subtracted.
"""

from collections import Counter, defaultdict

from sqlalchemy import RowMapping, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from service.store.counters import Additions, add
from service.store.pairing import COUNTED
from service.store.tables import cohort_pairs, pair_counts, sweeps
from service.store.tally import tally

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
    tally(session, sweep, first, settled, -1)
    pairs: Additions = defaultdict(Counter)
    for r in session.execute(_PAIRS, here):
        for name in COUNTED:
            pairs[sweep, r.criterion, r.arm, r.against][name] -= getattr(r, name)
    add(session, pair_counts, _KEYS, COUNTED, pairs)
    session.execute(_FORGET, here)
    session.execute(update(sweeps).where(sweeps.c.id == sweep).values(settled_cohorts=first))


_THESE = (
    cohort_pairs.c.sweep == bindparam("of"),
    cohort_pairs.c.cohort >= bindparam("first"),
    cohort_pairs.c.cohort < bindparam("settled"),
)
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

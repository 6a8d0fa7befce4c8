"""Settling: evidence advances by whole cohorts, in order, and a stop rule is judged after each.

The decision is taken in the transaction that settles, so that it depends on nothing but the pairs
of the first cohorts: not on who returned what first, nor on how much came in one return. Settled
counters never go past the cohort at which a sweep was stopped; what comes later is kept, and stands
outside the findings.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, select, update
from sqlalchemy.orm import Session

from service.evidence.stopping import When, rule_of, verdict
from service.store.ending import close, end_if_done
from service.store.pairing import count_cohort, primary_pairs
from service.store.tables import cohorts, sweeps
from service.store.tally import tally


def advance(session: Session, held: RowMapping, now: datetime) -> bool:
    """Settles what has become settled, stops where the rule says so; whether the sweep ended.

    Args:
        held: the sweep's row, locked.
    """
    stopped = settle(session, held)
    if stopped is not None:
        close(session, held["id"], now=now)
        held = session.execute(_ENDING, {"of": held["id"]}).mappings().one()
    return end_if_done(session, held, now)


_ENDING = select(
    sweeps.c.id, sweeps.c.state, sweeps.c.trials, sweeps.c.ended_at, sweeps.c.stopped_when
).where(sweeps.c.id == bindparam("of"))


def settle(session: Session, held: RowMapping) -> When | None:
    """Adds cohorts that have become settled to the settled counters, one after another.

    Args:
        held: the sweep's row, locked.

    Returns:
        Why the sweep's stop rule stops it after the last of them, if it does.
    """
    if held["stopped_when"] is not None:
        return None
    sweep, settled = held["id"], held["settled_cohorts"]
    rule = rule_of(held["stop"])
    stopped: When | None = None
    while stopped is None and settled * held["cohort"] < held["seeds"]:
        size = held["cells"] * min(held["cohort"], held["seeds"] - settled * held["cohort"])
        if session.scalar(_TERMINAL, {"of": sweep, "number": settled}) != size:
            break
        tally(session, sweep, settled, settled + 1, 1)
        count_cohort(session, sweep, settled)
        settled += 1
        early = settled * held["cohort"] < held["seeds"]  # else the plan is met
        if rule is not None and early and settled > held["judged_after"]:
            primary = primary_pairs(session, sweep)
            stopped = verdict(rule, primary.pairs, primary.unseen)
    if settled != held["settled_cohorts"]:
        reached: dict[str, Any] = {"settled_cohorts": settled}
        if stopped is not None:
            reached |= {"stopped_cohort": settled, "stopped_when": stopped, "reason": stopped}
        session.execute(update(sweeps).where(sweeps.c.id == sweep).values(**reached))
    return stopped


_TERMINAL = select(cohorts.c.terminal).where(
    cohorts.c.sweep == bindparam("of"), cohorts.c.index == bindparam("number")
)

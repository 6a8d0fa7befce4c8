"""Compares two sweeps: an arm's pairs across them, and the evidence of both together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from service.plan import Arm, Criterion
from service.report.across import Column, across, column
from service.report.rounding import rounded
from service.report.sample import read
from service.report.shared import ChoiceError, Side, chosen, no_pairs, rules_of, shared, unnamed
from service.report.together import Evidence, together
from service.spec.problems import Problem, shown
from service.store.classes import classes_of
from service.store.pairing import PairCounts
from service.store.plans import plan_of
from service.store.progress import Progress, progress

EXPLORATORY = (
    "neither plan declared this contrast; what is said of it holds if the arms were not picked, "
    "and neither sweep was run, because of what the other had found on these seeds"
)


def compare(
    session: Session,
    sweep: str,
    other: str,
    *,
    arm: str | None = None,
    against: str | None = None,
    metric: str | None = None,
    threshold: float | None = None,
) -> dict[str, Any]:
    """What two sweeps say together, over settled cohorts alone.

    Each sweep's settled trials are read once, one sweep after the other, where arms have pairs.

    Args:
        arm: of `sweep`; it need not be named where there is one.
        against: of `other`; likewise.
        metric, threshold: only criteria that are so; otherwise all that both sweeps have.

    Raises:
        UnknownSweepError: there is no such sweep.
        ChoiceError: an arm or criterion is not there, or not named where several are.
    """
    one, two = Side(sweep, plan_of(session, sweep)), Side(other, plan_of(session, other))
    if sweep == other:
        rule, cure = "a sweep is compared with another one", "its own arms stand in its report"
        raise ChoiceError(Problem("query.with", shown(other), rule, cure))
    now = {side.sweep: progress(session, side.sweep) for side in (one, two)}
    first, second = chosen(one, arm, "arm"), chosen(two, against, "against")
    rules = rules_of(one, two, metric, threshold)
    why = no_pairs(one, two)
    if why is None:
        paired = _paired(session, (one, first), (two, second), rules, now)
    else:
        paired = {"not_possible": why}
    found = {
        "sweeps": [_sweep_json(side, now[side.sweep]) for side in (one, two)],
        "paired": paired,
        "merged": together(*(Evidence(side, _primary(now[side.sweep])) for side in (one, two))),
    }
    return rounded(found)  # as a report's numbers are


def _paired(
    session: Session,
    one: tuple[Side, Arm | None],
    two: tuple[Side, Arm | None],
    rules: Sequence[tuple[Criterion, Criterion]],
    now: Mapping[str, Progress],
) -> dict[str, Any]:
    (here, arm), (there, against) = one, two
    if arm is None or against is None:
        missing = [(here, arm, "arm"), (there, against, "against")]
        raise ChoiceError(*(unnamed(side, field) for side, a, field in missing if a is None))
    found = shared(here, there, arm, against, rules)
    if isinstance(found, str):
        return {"not_possible": found}
    why = [w for s in (here, there) if (w := _not_declared(s, now[s.sweep]))]
    a = _column(session, here, arm, [s for s, _ in found.settings], [r for r, _ in rules])
    b = _column(session, there, against, [s for _, s in found.settings], [r for _, r in rules])
    return {
        "not_possible": None,
        "arm": {"sweep": here.sweep, "arm": arm.name},
        "against": {"sweep": there.sweep, "arm": against.name},
        "exploratory": True,
        "holds": EXPLORATORY,
        "no_intervals": "; ".join(why) or None,
        "settings": len(found.settings),
        "seeds": found.seeds,
        "pairs": len(found.settings) * found.seeds,
        "same_numerics": _same_numerics(session, here, there),
        **across(a, b, found, complete=not why),
    }


def _primary(now: Progress) -> PairCounts | None:
    """The counts of the primary contrast; None where none is declared."""
    return next((c for c in now.pairs if c.first and now.criteria[c.criterion].primary), None)


def _column(
    session: Session, side: Side, arm: Arm, settings: Sequence[int], rules: Sequence[Criterion]
) -> Column:
    """An arm's; the sample that it is taken from is let go of."""
    return column(read(session, side.sweep, side.plan), arm, settings, rules)


def _not_declared(side: Side, now: Progress) -> str | None:
    """Why a sweep's number of seeds is not the one that it declared; None where it is."""
    if now.stopped is not None:
        how = f"was stopped at cohort {now.stopped.cohort}"
    elif side.plan.extensions:
        how = "was extended"
    elif now.settled_cohorts < side.plan.cohorts:
        how = f"has settled {now.settled_cohorts} of {side.plan.cohorts} cohorts"
    else:
        return None
    return f"sweep {side.sweep} {how}: fixed-n intervals and p need both plans met as declared"


def _same_numerics(session: Session, one: Side, other: Side) -> bool:
    """Whether all trials of both are of one numerics class; where not, it may be what differs."""
    return len({*classes_of(session, one.sweep), *classes_of(session, other.sweep)}) <= 1


def _sweep_json(side: Side, now: Progress) -> dict[str, Any]:
    plan = side.plan
    return {
        "sweep": side.sweep,
        "name": plan.name,
        "root": plan.spec["root"],
        "arms": [arm.name for arm in plan.arms],
        "cohorts": plan.cohorts,
        "settled_cohorts": now.settled_cohorts,
        "settled_seeds": min(plan.seeds, now.settled_cohorts * plan.cohort),
        "stopped": asdict(now.stopped) if now.stopped else None,
        "extended": bool(plan.extensions),
    }

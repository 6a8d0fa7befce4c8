"""Counts of pairs, moved by whole cohorts as they settle: progress and stop rules scan nothing.

A contrast is an arm against another at a criterion. `cohort_pairs` keeps what each cohort gave,
so that it can be taken out again; `pair_counts` keeps their sum.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, RowMapping, bindparam, case, func, insert, select
from sqlalchemy.orm import Session

from service.evidence.pairs import Pairs, Sided
from service.evidence.unseen import Unseen, unseen_of
from service.plan import Plan
from service.store.batch import write
from service.store.counters import Additions, add
from service.store.tables import (
    HALF_SEEN,
    HAS_OUTCOME,
    PAIRED,
    cohort_pairs,
    criteria,
    pair_counts,
    successes,
    sweeps,
    trials,
)

COUNTED = (*PAIRED, *HALF_SEEN)
_KEYS = ("sweep", "criterion", "arm", "against")
#: verdicts of arm a and of arm b (1 success, 0 none, 2 no outcome) -> where their pair is counted
_PLACE = {
    (1, 1): "both",
    (1, 0): "only_a",
    (0, 1): "only_b",
    (0, 0): "neither",
    (1, 2): "a_won",
    (0, 2): "a_lost",
    (2, 1): "b_won",
    (2, 0): "b_lost",
    (2, 2): "missing",
}


@dataclass(frozen=True)
class PairCounts:
    """The pairs of an arm against another at a criterion, over settled cohorts.

    Attributes:
        criterion, arm, against: indices.
        first: whether the arms are those of the primary contrast, whatever the criterion.
        sided: as declared for the primary contrast at the primary criterion; elsewhere two.
        counts: of each of both, only_a, ... missing, as in `service.report.pairing.PairTable`.
    """

    criterion: int
    arm: int
    against: int
    first: bool
    sided: Sided
    counts: Mapping[str, int]

    @property
    def pairs(self) -> Pairs:
        """Those whose members both have an outcome."""
        return Pairs(*(self.counts[name] for name in PAIRED))

    @property
    def unseen(self) -> Unseen:
        """The others, by what they might turn out as."""
        return unseen_of(**{name: self.counts[name] for name in HALF_SEEN})


def open_counts(session: Session, sweep: str, plan: Plan) -> None:
    """Writes the zeroed counts of a new sweep's contrasts, at every criterion."""
    add_contrasts(session, sweep, plan, [arm.index for arm in plan.arms])


def add_contrasts(session: Session, sweep: str, plan: Plan, which: Collection[int]) -> None:
    """Writes the zeroed counts of these arms' contrasts, at every criterion of the plan."""
    declared = plan.contrast.sided if plan.contrast else "two"
    rows = [
        {
            "sweep": sweep,
            "criterion": c.index,
            "arm": a.index,
            "against": b.index,
            "rank": rank,
            "sided": declared if rank == 0 and c.primary else "two",
        }
        for rank, (a, b) in enumerate(plan.compared)
        for c in plan.criteria
        if a.index in which
    ]
    if rows:
        session.execute(insert(pair_counts), rows)


def count_cohort(session: Session, sweep: str, cohort: int) -> None:
    """Counts the pairs of a cohort that has settled, in one pass over its trials alone."""
    _count(session, sweep, _OF_COHORT, {"number": cohort})


def count_criterion(session: Session, sweep: str, criterion: int) -> None:
    """Counts the pairs of every settled cohort by a criterion that was added and is judged."""
    there = select(pair_counts).where(pair_counts.c.sweep == sweep, pair_counts.c.criterion == 0)
    rows = [
        {name: r[name] for name in ("sweep", "arm", "against", "rank")}
        | {"criterion": criterion, "sided": "two"}
        for r in session.execute(there).mappings()
    ]
    if rows:
        session.execute(insert(pair_counts), rows)
        _count(session, sweep, _OF_CRITERION, {"number": criterion})


def _count(session: Session, sweep: str, statement: Any, which: Mapping[str, int]) -> None:
    """Adds the verdicts that a statement finds to the sums, and writes them cohort by cohort."""
    against = session.scalar(_AGAINST, {"of": sweep})
    if against is None:
        return
    sums: Additions = defaultdict(Counter)
    parts: Additions = defaultdict(Counter)
    for r in session.execute(statement, {"of": sweep, "against": against, **which}):
        sums[sweep, r.criterion, r.arm, against][_PLACE[r.a, r.b]] += r.n
        parts[sweep, r.cohort, r.criterion, r.arm, against][_PLACE[r.a, r.b]] += r.n
    add(session, pair_counts, _KEYS, COUNTED, sums)
    rows = [(*key, *(n[name] for name in COUNTED)) for key, n in sorted(parts.items())]
    write(session, cohort_pairs, ("sweep", "cohort", *_KEYS[1:], *COUNTED), rows)


_AGAINST = select(pair_counts.c.against).where(pair_counts.c.sweep == bindparam("of")).limit(1)


def _verdicts(which: ColumnElement[bool]) -> Any:
    """Per cohort, criterion and arm but one, how often which verdicts met: by a window, no join.

    A join of a cohort with itself would cost the square of it wherever its plan went wrong.
    """
    verdict = case(
        (trials.c.state.in_(HAS_OUTCOME), func.coalesce(successes.c.success, 0)), else_=2
    )
    opponent = func.max(case((trials.c.arm == bindparam("against"), verdict))).over(
        partition_by=(criteria.c.index, trials.c.setting, trials.c.seed)
    )
    judged = (successes.c.trial == trials.c.id) & (successes.c.criterion == criteria.c.index)
    met = (
        select(trials.c.cohort, criteria.c.index.label("criterion"), trials.c.arm)
        .add_columns(verdict.label("a"), opponent.label("b"))
        .select_from(trials)
        .join(criteria, criteria.c.sweep == trials.c.sweep)
        .outerjoin(successes, judged)
        .where(trials.c.sweep == bindparam("of"), which)
        .subquery("met")
    )
    return (
        select(*met.c, func.count().label("n"))
        .where(met.c.arm != bindparam("against"))
        .group_by(*met.c)
    )


_OF_COHORT = _verdicts(trials.c.cohort == bindparam("number"))
_OF_CRITERION = _verdicts(
    (criteria.c.index == bindparam("number"))
    & (
        trials.c.cohort
        < select(sweeps.c.settled_cohorts).where(sweeps.c.id == bindparam("of")).scalar_subquery()
    )
)


def counted_pairs(session: Session, sweep: str) -> tuple[PairCounts, ...]:
    """Every contrast of a sweep, by criterion, the primary arm's first: contrasts x criteria."""
    return tuple(counted_pairs_of(session, [sweep])[sweep])


def counted_pairs_of(session: Session, which: Sequence[str]) -> defaultdict[str, list[PairCounts]]:
    """Those of several sweeps, in one query; none of a sweep that has none."""
    found: defaultdict[str, list[PairCounts]] = defaultdict(list)
    for r in session.execute(_COUNTS, {"of": which}).mappings():
        found[r["sweep"]].append(_counts(r))
    return found


_COUNTS = (
    select(pair_counts)
    .where(pair_counts.c.sweep.in_(bindparam("of", expanding=True)))
    .order_by(pair_counts.c.criterion, pair_counts.c.rank)
)


def primary_pairs(session: Session, sweep: str) -> PairCounts:
    """The primary contrast at the primary criterion.

    Raises:
        sqlalchemy.exc.NoResultFound: the sweep has none.
    """
    return _counts(session.execute(_PRIMARY, {"of": sweep}).mappings().one())


_PRIMARY = (
    select(pair_counts)
    .join(
        criteria,
        (criteria.c.sweep == pair_counts.c.sweep) & (criteria.c.index == pair_counts.c.criterion),
    )
    .where(pair_counts.c.sweep == bindparam("of"), pair_counts.c.rank == 0, criteria.c.primary == 1)
)


def _counts(r: RowMapping) -> PairCounts:
    return PairCounts(
        criterion=r["criterion"],
        arm=r["arm"],
        against=r["against"],
        first=r["rank"] == 0,
        sided=cast("Sided", r["sided"]),
        counts={name: r[name] for name in COUNTED},
    )

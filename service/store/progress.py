"""Progress: read from counters, at a cost of arms x criteria whatever the number of trials."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, RowMapping, Select, bindparam, func, select
from sqlalchemy.orm import Session

from service.evidence.stopping import Rule, When, rule_of
from service.plan import Criterion
from service.store.ending import shown_state
from service.store.errors import UnknownSweepError
from service.store.forecasts import Forecast
from service.store.pairing import PairCounts, counted_pairs_of
from service.store.plans import criterion
from service.store.tables import (
    END_STATES,
    arm_successes,
    arms,
    cells,
    criteria,
    extensions,
    forecasts,
    sweeps,
)


@dataclass(frozen=True)
class ArmProgress:
    """One arm: arrivals by end state, and what is settled.

    Attributes:
        ended: end state -> trials that have arrived there; never divide successes by these.
        settled: end state -> trials of settled cohorts.
        successes: per criterion, successes among the settled.
    """

    name: str
    trials: int
    running: int
    ended: Mapping[str, int]
    settled: Mapping[str, int]
    successes: tuple[int, ...]

    @property
    def settled_trials(self) -> int:
        """Trials of settled cohorts that have an outcome: the denominator of a rate."""
        return sum(self.settled[s] for s in ("finished", "left", "diverged"))


@dataclass(frozen=True)
class Stopped:
    """Where and why a stop rule ended a sweep: no cohort after the first `cohort` is settled."""

    when: When
    cohort: int


@dataclass(frozen=True)
class Progress:
    """A sweep's counters.

    Attributes:
        pairs: its contrasts at every criterion, over settled cohorts.
        stop: its stop rule.
        stopped: what that rule decided.
        extended: how often it was extended.
        judged_after: that rule is judged past so many settled cohorts; 0 unless it was extended.
        spoke: what it had decided before an extension, after which it is never judged again.
    """

    state: str
    reason: str | None
    trials: int
    cohorts: int
    settled_cohorts: int
    arms: tuple[ArmProgress, ...]
    criteria: tuple[Criterion, ...]
    pairs: tuple[PairCounts, ...]
    stop: Rule | None
    stopped: Stopped | None
    judged_after: int
    spoke: Stopped | None
    forecast: Forecast | None
    started_at: datetime | None
    ended_at: datetime | None
    extended: int = 0

    @property
    def judged(self) -> bool:
        """Whether some cohort is left, or was, after which its stop rule could end it."""
        extended = self.judged_after > 0
        return self.stop is not None and not (extended and self.judged_after + 1 >= self.cohorts)

    @property
    def ended(self) -> int:
        """Terminal trials."""
        return sum(sum(arm.ended.values()) for arm in self.arms)

    @property
    def running(self) -> int:
        """Trials that a worker holds."""
        return sum(arm.running for arm in self.arms)


def progress(session: Session, sweep: str) -> Progress:
    """The counters of a sweep.

    Raises:
        UnknownSweepError: there is no such sweep.
    """
    found = progress_of(session, [sweep])
    if not found:
        raise UnknownSweepError(sweep)
    return found[sweep]


def progress_of(session: Session, which: Sequence[str]) -> dict[str, Progress]:
    """The counters of each of these sweeps that there is, in as many queries as for one."""
    here = {"of": which}
    rows = session.execute(_SWEEPS, here).all()
    rules = _by_sweep(session, _CRITERIA, which)
    of_arms = _by_sweep(session, _ARMS, which)
    won = {(r.sweep, r.arm, r.criterion): r.settled for r in session.execute(_WON, here)}
    pairs = counted_pairs_of(session, which)
    found = {}
    for row in rows:
        judged = tuple(criterion(r) for r in rules[row.id])
        found[row.id] = Progress(
            state=shown_state(row.state, row.stopped_when),
            reason=row.reason,
            trials=row.trials,
            cohorts=-(-row.seeds // row.cohort),
            settled_cohorts=row.settled_cohorts,
            arms=tuple(_arm(r, judged, won) for r in of_arms[row.id]),
            criteria=judged,
            pairs=tuple(pairs[row.id]),
            stop=rule_of(row.stop),
            stopped=Stopped(row.stopped_when, row.stopped_cohort) if row.stopped_when else None,
            judged_after=row.judged_after,
            spoke=_spoke(session, row.id) if row.judged_after and row.stop else None,
            forecast=_forecast(row),
            started_at=row.started_at,
            ended_at=row.ended_at,
            extended=row.extended,
        )
    return found


def _by_sweep(
    session: Session, statement: Select[Any], which: Sequence[str]
) -> dict[str, list[RowMapping]]:
    found: dict[str, list[RowMapping]] = defaultdict(list)
    for r in session.execute(statement, {"of": which}).mappings():
        found[r["sweep"]].append(r)
    return found


def _arm(
    r: RowMapping, rules: Sequence[Criterion], won: Mapping[tuple[str, int, int], int]
) -> ArmProgress:
    return ArmProgress(
        name=r["name"],
        trials=r["trials"],
        running=r["running"],
        ended={s: r[s] for s in END_STATES},
        settled={s: r[f"settled_{s}"] for s in END_STATES},
        successes=tuple(won[r["sweep"], r["index"], c.index] for c in rules),
    )


def _spoke(session: Session, sweep: str) -> Stopped | None:
    row = session.execute(_SPOKE, {"of": sweep}).one_or_none()
    return None if row is None else Stopped(*row)


_SPOKE = (
    select(extensions.c.stopped_when, extensions.c.stopped_cohort)
    .where(extensions.c.sweep == bindparam("of"), extensions.c.stopped_when.is_not(None))
    .order_by(extensions.c.number.desc())
    .limit(1)
)


def _forecast(row: Any) -> Forecast | None:
    if row.seconds is None:
        return None
    interval = None if row.low_s is None else (row.low_s, row.high_s)
    return Forecast(row.told_at, row.seconds, interval)


# written once: building them anew took longer than all the rest of a request for progress
_OF: BindParameter[Any] = bindparam("of", expanding=True)
_SWEEPS = (
    select(
        sweeps.c.id,
        sweeps.c.state,
        sweeps.c.reason,
        sweeps.c.trials,
        sweeps.c.seeds,
        sweeps.c.cohort,
        sweeps.c.settled_cohorts,
        sweeps.c.stop,
        sweeps.c.stopped_when,
        sweeps.c.stopped_cohort,
        sweeps.c.judged_after,
        sweeps.c.started_at,
        sweeps.c.ended_at,
        forecasts.c.told_at,
        forecasts.c.seconds,
        forecasts.c.low_s,
        forecasts.c.high_s,
        select(func.count())
        .select_from(extensions)
        .where(extensions.c.sweep == sweeps.c.id)
        .scalar_subquery()
        .label("extended"),
    )
    .join_from(sweeps, forecasts, isouter=True)
    .where(sweeps.c.id.in_(_OF))
)
_WON = select(arm_successes).where(arm_successes.c.sweep.in_(_OF))
_ARMS = (
    select(*(c for c in arms.c if c.name != "overrides"))
    .where(arms.c.sweep.in_(_OF))
    .order_by(arms.c.index)
)
_CRITERIA = select(criteria).where(criteria.c.sweep.in_(_OF)).order_by(criteria.c.index)


def criteria_of(session: Session, sweep: str) -> tuple[Criterion, ...]:
    """A sweep's criteria, in order."""
    return tuple(criterion(r) for r in session.execute(_CRITERIA, {"of": [sweep]}).mappings())


@dataclass(frozen=True)
class CellCounts:
    """One cell's settled counts; `successes` per criterion."""

    cell: int
    arm: int
    setting: int
    settled: Mapping[str, int]
    successes: tuple[int, ...]


def cell_counts(session: Session, sweep: str) -> list[CellCounts]:
    """Settled counts of every cell, in order: for reports, at a cost of cells x criteria."""
    from service.store.tables import cell_successes  # noqa: PLC0415 - named like the field above

    query = (
        select(cells.c.index, cell_successes.c.criterion, cell_successes.c.settled)
        .join(cell_successes, cell_successes.c.cell == cells.c.id)
        .where(cells.c.sweep == sweep)
    )
    won = {(i, criterion): settled for i, criterion, settled in session.execute(query)}
    count = len(criteria_of(session, sweep))
    rows = session.execute(select(cells).where(cells.c.sweep == sweep).order_by(cells.c.index))
    return [
        CellCounts(
            cell=r["index"],
            arm=r["arm"],
            setting=r["setting"],
            settled={s: r[f"settled_{s}"] for s in END_STATES},
            successes=tuple(won[r["index"], k] for k in range(count)),
        )
        for r in rows.mappings()
    ]

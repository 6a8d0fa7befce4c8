"""Counters: moved in the transaction that moves the trial, so that nothing is ever scanned.

`arrived` counts move when a trial ends. `settled` counts move when a cohort and all before it
are wholly terminal; the cohort's contribution is then added once. A cancelled trial never makes
its cohort terminal, so a cancelled sweep settles no further than it got.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.store.tables import (
    END_STATES,
    arm_successes,
    arms,
    cell_successes,
    cells,
    cohorts,
    structures,
    successes,
    sweeps,
    trials,
)

#: cell id, arm, end state, cohort
Ended = tuple[int, int, str, int]


def count_ended(session: Session, sweep: str, ended: Sequence[Ended]) -> None:
    """Adds trials that have just become terminal to the arrived counters."""
    by_arm = Counter((arm, state) for _, arm, state, _ in ended)
    by_cell = Counter((cell, state) for cell, _, state, _ in ended)
    by_cohort = Counter(cohort for _, _, state, cohort in ended if state != "cancelled")
    for state in END_STATES:
        _add(
            session,
            arms,
            state,
            [
                {"k_sweep": sweep, "k_index": arm, "n": n}
                for (arm, s), n in by_arm.items()
                if s == state
            ],
        )
        _add(
            session,
            cells,
            state,
            [{"k_id": cell, "n": n} for (cell, s), n in by_cell.items() if s == state],
        )
    if by_cohort:
        module: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        statement = module.insert(cohorts)
        statement = statement.on_conflict_do_update(
            index_elements=["sweep", "index"],
            set_={"terminal": cohorts.c.terminal + statement.excluded.terminal},
        )
        rows = [{"sweep": sweep, "index": i, "terminal": n} for i, n in sorted(by_cohort.items())]
        session.execute(statement, rows)


def count_running(session: Session, sweep: str, by_arm: Counter[int], sign: int) -> None:
    """Moves the arms' counts of running trials."""
    rows = [{"k_sweep": sweep, "k_index": arm, "n": sign * n} for arm, n in by_arm.items()]
    _add(session, arms, "running", rows)


def count_waiting(session: Session, sweep: str, by_structure: Counter[int], sign: int) -> None:
    """Moves the structures' counts of trials that wait to be tried again."""
    rows = [{"k_sweep": sweep, "k_index": s, "n": sign * n} for s, n in by_structure.items()]
    _add(session, structures, "waiting", rows)


def count_successes(session: Session, sweep: str, found: Iterable[tuple[int, int, int]]) -> None:
    """Adds successes (cell id, arm, criterion) to the arrived counters."""
    found = list(found)
    _add_successes(
        session,
        sweep,
        "arrived",
        Counter((c, k) for c, _, k in found),
        Counter((a, k) for _, a, k in found),
    )


def settle(session: Session, sweep: str) -> int:
    """Adds cohorts that have become settled to the settled counters; returns how many."""
    row = session.execute(select(sweeps).where(sweeps.c.id == sweep)).one()
    settled = row.settled_cohorts
    while settled * row.cohort < row.seeds:
        size = row.cells * min(row.cohort, row.seeds - settled * row.cohort)
        terminal = session.scalar(
            select(cohorts.c.terminal).where(cohorts.c.sweep == sweep, cohorts.c.index == settled)
        )
        if terminal != size:
            break
        _settle_cohort(session, sweep, settled)
        settled += 1
    if settled != row.settled_cohorts:
        session.execute(update(sweeps).where(sweeps.c.id == sweep).values(settled_cohorts=settled))
    return int(settled - row.settled_cohorts)


def _settle_cohort(session: Session, sweep: str, cohort: int) -> None:
    here = (trials.c.sweep == sweep, trials.c.cohort == cohort)
    ended = session.execute(
        select(trials.c.cell, trials.c.arm, trials.c.state, func.count().label("n"))
        .where(*here)
        .group_by(trials.c.cell, trials.c.arm, trials.c.state)
    ).all()
    for state in END_STATES:
        by_arm: Counter[int] = Counter()
        for r in ended:
            if r.state == state:
                by_arm[r.arm] += r.n
        _add(
            session,
            arms,
            f"settled_{state}",
            [{"k_sweep": sweep, "k_index": arm, "n": n} for arm, n in by_arm.items()],
        )
        _add(
            session,
            cells,
            f"settled_{state}",
            [{"k_id": r.cell, "n": r.n} for r in ended if r.state == state],
        )
    won = session.execute(
        select(trials.c.cell, trials.c.arm, successes.c.criterion, func.count().label("n"))
        .join(successes, successes.c.trial == trials.c.id)
        .where(*here, successes.c.success == 1)
        .group_by(trials.c.cell, trials.c.arm, successes.c.criterion)
    ).all()
    arm_wins: Counter[tuple[int, int]] = Counter()
    for r in won:
        arm_wins[r.arm, r.criterion] += r.n
    cell_wins = Counter({(r.cell, r.criterion): r.n for r in won})
    _add_successes(session, sweep, "settled", cell_wins, arm_wins)


def end_if_done(session: Session, sweep: str, now: datetime) -> bool:
    """Ends a sweep none of whose trials is left; returns whether it did."""
    row = session.execute(select(sweeps).where(sweeps.c.id == sweep)).one()
    if row.ended_at is not None:
        return False
    terminal = sum((func.sum(arms.c[s]) for s in END_STATES[1:]), func.sum(arms.c[END_STATES[0]]))
    if session.scalar(select(terminal).where(arms.c.sweep == sweep)) != row.trials:
        return False
    state = "cancelled" if row.state == "cancelling" else "finished"
    session.execute(
        update(sweeps)
        .where(sweeps.c.id == sweep)
        .values(state=state, ended_at=now, reason=None, offered_class=None)
    )
    return True


def _add_successes(
    session: Session,
    sweep: str,
    column: str,
    by_cell: Counter[tuple[int, int]],
    by_arm: Counter[tuple[int, int]],
) -> None:
    _add(
        session,
        cell_successes,
        column,
        [{"k_cell": cell, "k_criterion": k, "n": n} for (cell, k), n in by_cell.items()],
    )
    _add(
        session,
        arm_successes,
        column,
        [
            {"k_sweep": sweep, "k_arm": arm, "k_criterion": k, "n": n}
            for (arm, k), n in by_arm.items()
        ],
    )


def _add(session: Session, table: Any, column: str, rows: list[dict[str, Any]]) -> None:
    """Column <- column + n for each row, found by its k_* values, in one executemany.

    Rows go in order of their keys, so that two writers cannot deadlock.
    """
    if not rows:
        return
    keys = [k for k in rows[0] if k != "n"]
    statement = update(table).values({column: table.c[column] + bindparam("n")})
    for key in keys:
        statement = statement.where(table.c[key.removeprefix("k_")] == bindparam(key))
    ordered = sorted(rows, key=lambda r: [r[k] for k in keys])
    session.connection().execute(statement, ordered)

"""Counters: moved in the transaction that moves the trial, so that nothing is ever scanned.

`arrived` counts move when a trial ends. `settled` counts move when a cohort and all before it
are wholly terminal (`service.store.settling`); the cohort's contribution is then added once. A
cancelled trial never makes its cohort terminal, so a cancelled sweep settles no further than it
got. Whoever moves a sweep's counters holds the lock of its row, so that no two writers meet here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Integer, String, Table, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.store.batch import Batch, dialect_of
from service.store.tables import (
    END_STATES,
    arm_successes,
    arms,
    cell_successes,
    cells,
    cohorts,
    structures,
)


class Move(NamedTuple):
    """A trial that changed its state; `before` is None for one that had no row."""

    cell: int
    arm: int
    structure: int
    cohort: int
    before: str | None
    after: str


#: key of a row -> column -> what is added to it
Additions = dict[tuple[str | int, ...], Counter[str]]

_ARM = ("running", *END_STATES)


def count(session: Session, sweep: str, moves: Sequence[Move]) -> None:
    """Takes trials from the counters of the state that they leave to those of the new one."""
    by_arm: Additions = defaultdict(Counter)
    by_cell: Additions = defaultdict(Counter)
    by_structure: Additions = defaultdict(Counter)
    by_cohort: Counter[int] = Counter()
    for move, n in Counter(moves).items():
        for state, signed in ((move.before, -n), (move.after, n)):
            if state == "waiting":
                by_structure[sweep, move.structure]["waiting"] += signed
            elif state is not None:
                by_arm[sweep, move.arm][state] += signed
        if move.after in END_STATES:
            by_cell[move.cell,][move.after] += n
            by_cohort[move.cohort] += n if move.after != "cancelled" else 0
    add(session, arms, ("sweep", "index"), _ARM, by_arm)
    add(session, structures, ("sweep", "index"), ("waiting",), by_structure)
    add(session, cells, ("id",), END_STATES, by_cell)
    if any(by_cohort.values()):
        dialect = dialect_of(session)
        rows = sorted((i, n) for i, n in by_cohort.items() if n)
        parameters = _COHORTS.parameters(dialect, rows) | {"of": sweep}
        session.execute(_reach(dialect), parameters)


_COHORTS = Batch(index=Integer(), terminal=Integer())


@cache
def _reach(dialect: str) -> Any:
    """Adds to the cohorts' counts of terminal trials."""
    module: Any = postgresql if dialect == "postgresql" else sqlite
    batch = _COHORTS.source(dialect)
    rows = select(bindparam("of", type_=String()), batch.c.index, batch.c.terminal)
    # WHERE: SQLite would take ON CONFLICT for a join's ON
    statement = module.insert(cohorts).from_select(
        ["sweep", "index", "terminal"], rows.where(batch.c.terminal > 0)
    )
    return statement.on_conflict_do_update(
        index_elements=["sweep", "index"],
        set_={"terminal": cohorts.c.terminal + statement.excluded.terminal},
    )


def count_successes(session: Session, sweep: str, found: Iterable[tuple[int, int, int]]) -> None:
    """Adds successes (cell id, arm, criterion) to the arrived counters."""
    add_successes(session, sweep, "arrived", Counter(found))


def add_successes(
    session: Session, sweep: str, column: str, found: Mapping[tuple[int, int, int], int]
) -> None:
    """Adds successes by (cell id, arm, criterion) to a column of both their counters."""
    by_cell: Additions = defaultdict(Counter)
    by_arm: Additions = defaultdict(Counter)
    for (cell, arm, criterion), n in found.items():
        by_cell[cell, criterion][column] += n
        by_arm[sweep, arm, criterion][column] += n
    add(session, cell_successes, ("cell", "criterion"), (column,), by_cell)
    add(session, arm_successes, ("sweep", "arm", "criterion"), (column,), by_arm)


def add(
    session: Session,
    table: Table,
    keys: tuple[str, ...],
    columns: tuple[str, ...],
    additions: Additions,
) -> None:
    """Columns <- columns + what is added, row by key, all in one statement."""
    if not additions:
        return
    dialect = dialect_of(session)
    batch, statement = _addition(dialect, table, keys, columns)
    rows = [(*key, *(n[c] for c in columns)) for key, n in sorted(additions.items())]
    session.execute(statement, batch.parameters(dialect, rows))


@cache
def _addition(
    dialect: str, table: Table, keys: tuple[str, ...], columns: tuple[str, ...]
) -> tuple[Batch, Any]:
    batch = Batch(**{name: table.c[name].type for name in (*keys, *columns)})
    more = batch.source(dialect)
    statement = (
        update(table)
        .where(*(table.c[key] == more.c[key] for key in keys))
        .values({name: table.c[name] + more.c[name] for name in columns})
    )
    return batch, statement

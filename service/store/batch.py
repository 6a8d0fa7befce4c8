"""Batches: many rows as the parameters of one statement whose text never changes.

A statement is compiled and planned once, and costs one round trip whatever the number of rows:
on PostgreSQL they travel as one array a column (`unnest`), on SQLite as one JSON document.
"""

import json
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    FromClause,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

Row = Sequence[Any]
_NAME = "batch"


class Batch:
    """Columns of a batch; `source` stands in a statement, `parameters` carry its rows.

    Values are integers, text or None: SQLite's JSON would not keep every bit of a float.
    """

    def __init__(self, **columns: TypeEngine[Any]) -> None:
        self._columns = columns

    def source(self, dialect: str) -> FromClause:
        """The FROM clause whose columns are the batch's."""
        return self._arrays if dialect == "postgresql" else self._document

    @cached_property
    def _arrays(self) -> FromClause:
        arrays = [
            cast(bindparam(f"{_NAME}_{n}", type_=Text()), ARRAY(t))
            for n, t in self._columns.items()
        ]
        named = [column(n, t) for n, t in self._columns.items()]
        return func.unnest(*arrays).table_valued(*named, name=_NAME).render_derived()

    @cached_property
    def _document(self) -> FromClause:
        each = func.json_each(bindparam(_NAME)).table_valued("value", name="each")
        fields = [
            func.json_extract(each.c.value, f"$[{i}]", type_=t).label(n)
            for i, (n, t) in enumerate(self._columns.items())
        ]
        return select(*fields).subquery(_NAME)

    def parameters(self, dialect: str, rows: Sequence[Row]) -> dict[str, Any]:
        """What `source` is bound to."""
        if dialect == "postgresql":
            return _arrays(list(self._columns), rows)
        return {_NAME: json.dumps(rows)}


def _arrays(names: Sequence[str], rows: Sequence[Row]) -> dict[str, str]:
    values = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {f"{_NAME}_{n}": array(v) for n, v in zip(names, values, strict=True)}


def array(values: Sequence[Any]) -> str:
    """PostgreSQL's literal of an array; psycopg's own way takes ten times as long.

    Without bytes and escapes it is JSON's between other brackets, which C writes.
    """
    if values and not isinstance(values[0], bytes):
        text = json.dumps(values, ensure_ascii=False)
        if "\\" not in text:
            return "{" + text[1:-1] + "}"
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
    if isinstance(value, bytes):
        return rf'"\\x{value.hex()}"'
    return "NULL" if value is None else str(value)


#: (trial, attempt) or any other pair of integers
PAIRS = Batch(id=BigInteger(), attempt=BigInteger())


def dialect_of(session: Session) -> str:
    """The name of the session's database."""
    return session.get_bind().dialect.name


def write(session: Session, table: Table, names: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Inserts rows with these columns, of plain types: no JSON, no moments."""
    if not rows:
        return
    if dialect_of(session) == "postgresql":
        session.execute(_insert_arrays(table, names), _arrays(names, rows))
    else:  # without Core's work on every row, which would take longer than SQLite's own
        rows = [tuple(row) for row in rows]
        session.connection().exec_driver_sql(_insert_sqlite(table, names), rows)


@cache
def _insert_arrays(table: Table, names: tuple[str, ...]) -> Any:
    source = Batch(**{name: table.c[name].type for name in names}).source("postgresql")
    return insert(table).from_select(list(names), select(*source.c))


@cache
def _insert_sqlite(table: Table, names: tuple[str, ...]) -> str:
    return str(insert(table).compile(dialect=sqlite.dialect(), column_keys=list(names)))

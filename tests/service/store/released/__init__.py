"""Stores as released versions wrote them, kept as data: their code is gone.

`0001.json` was written by the code of the first schema itself: a finished sweep, one that is half
done with retries and an errored trial, one that waits, one paused, one cancelled. `ADDED` is what
each later schema has room for.
"""

import base64
import json
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, func, insert, select, text

from tests.service.samples import moment

_HERE = Path(__file__).parent
Fill = Callable[[Connection], None]


@cache
def first() -> dict[str, list[dict[str, Any]]]:
    """Table -> rows, of a store of the first schema."""
    found = json.loads((_HERE / "0001.json").read_text(encoding="utf-8"))
    return {t: [{k: _value(v) for k, v in r.items()} for r in rows] for t, rows in found.items()}


def sweep_of(name: str) -> str:
    """The id of a sweep of the first store."""
    return next(str(row["id"]) for row in first()["sweeps"] if row["name"] == name)


def fill(connection: Connection) -> None:
    """Writes the first store into an empty schema of revision 0001."""
    for table, rows in first().items():
        add(connection, table, *rows)
    if connection.dialect.name == "postgresql":  # as if the rows had drawn their ids
        for table in ("cells", "trials"):
            most = max(row["id"] for row in first()[table])
            drawn = func.pg_get_serial_sequence(table, "id")
            connection.execute(select(func.setval(drawn, most)))


def add(connection: Connection, table: str, *rows: dict[str, Any]) -> None:
    """Rows of a table as it is now."""
    there = MetaData()
    there.reflect(connection, only=[table], resolve_fks=False)
    naive = connection.dialect.name != "postgresql"
    plain = [
        {
            k: v.replace(tzinfo=None) if naive and isinstance(v, datetime) else v
            for k, v in row.items()
        }
        for row in rows
    ]
    connection.execute(insert(there.tables[table]), plain)


def _value(value: Any) -> Any:
    """JSON has neither moments nor bytes."""
    if isinstance(value, dict) and value.keys() == {"at"}:
        return datetime.fromisoformat(value["at"])
    if isinstance(value, dict) and value.keys() == {"bytes"}:
        return base64.b64decode(value["bytes"])
    return value


def _run(*statements: str) -> Fill:
    def run(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    return run


def _rows(**tables: dict[str, Any]) -> Fill:
    def run(connection: Connection) -> None:
        for table, row in tables.items():
            add(connection, table, row)

    return run


def _all(*fills: Fill) -> Fill:
    def run(connection: Connection) -> None:
        for each in fills:
            each(connection)

    return run


DONE, HALF, WAITS = (sweep_of(name) for name in ("finished", "half done", "waits"))
_CLASS = first()["numerics_classes"][0]["id"]
_KNOWN = {"structure": "5" * 32, "class_id": _CLASS, "measured_at": moment(9)}

#: revision -> data that only it and later ones can hold
ADDED: dict[str, Fill] = {
    "0001": _all(fill, _rows(leases={"name": "old", "holder": "me", "expires_at": moment(1)})),
    "0003": _run("UPDATE trials SET losses = 1 WHERE state = 'running' AND attempt = 2"),
    "0004": _rows(widths=_KNOWN | {"level": 0, "lanes": 32}),
    "0005": _all(
        _rows(workers={"name": "host:1", "device": "host cpu", "seen_at": moment(2)}),
        _run("UPDATE outcomes SET pack = 1, lane = 3"),
    ),
    "0006": _rows(
        replays={
            "trial": 1,
            "sweep": DONE,
            "state": "done",
            "author": "host:1",
            "worker": "host:2",
            "requested_at": moment(80),
            "ended_at": moment(90),
            "fingerprint": "f",
            "equal": 1,
        }
    ),
    "0007": _rows(speeds=_KNOWN | {"experiment": "deep_mlp", "lane_steps": 9, "seconds": 0.5}),
    "0008": _run(
        """UPDATE sweeps SET stop = '{"when": ["evidence"], "alpha": 0.05}' WHERE name = 'waits'"""
    ),
    "0009": _rows(
        exclusions={
            "id": 1,
            "sweep": HALF,
            "worker": "host:9",
            "reason": "broken",
            "excluded_at": moment(3),
            "trials": 1,
        },
        excluded_trials={
            "exclusion": 1,
            "trial": 17,
            "attempt": 1,
            "state": "finished",
            "steps": 200,
            "fingerprint": "f",
            "metrics": "{}",
        },
    ),
    "0010": _rows(
        forecasts={"sweep": HALF, "told_at": moment(60), "seconds": 9.5, "record": {"v": 1}}
    ),
    "0012": _rows(
        extensions={
            "sweep": DONE,
            "number": 1,
            "extended_at": moment(99),
            "seeds_before": 2,
            "seeds": 4,
            "arms": [],
            "grid": {},
            "settled": 1,
        },
        plans_met={"sweep": DONE, "met_at": moment(98), "content": {"findings": {}}},
    ),
    "0013": _run(
        "UPDATE sweeps SET owner = 'ann', priority = 7, labels = '[\"a\"]', note = 'n'"
        " WHERE name = 'half done'"
    ),
    "0014": _rows(
        announcements={"name": "d", "holder": "me", "said_at": moment(1), "content": {"w": 1}}
    ),
    "0015": _rows(
        api_keys={
            "id": "k",
            "name": "first",
            "owner": "ann",
            "scope": "admin",
            "hash": "$argon2id$",
            "created_at": moment(),
        },
        idempotency={"owner": "ann", "key": "done", "body_hash": "1" * 64, "sweep": HALF},
    ),
    "0016": _all(
        _rows(leftovers={"sweep": "gone"}),
        _run(
            """UPDATE outcomes SET weights = '{"path": "p", "bytes": 9, "sha256": "0"}'
            WHERE trial = 1"""
        ),
    ),
    "0017": _rows(
        sessions={
            "id": "s",
            "key": "k",
            "created_at": moment(1),
            "expires_at": moment(2),
        },
        audit_log={
            "at": moment(3),
            "principal": "ann",
            "key": "k",
            "action": "submit",
            "object": HALF,
            "outcome": "done",
            "request": "r",
            "address": "127.0.0.1",
        },
    ),
    "0018": _run("UPDATE sweeps SET failing = 'E: no' WHERE name = 'paused'"),
}

"""From every released schema with data in it to the newest, down again step by step, and up."""

import json
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, select, table, text

from service.report.build import build
from service.store import claims, classes, completion, release, sweeps
from service.store.engine import migrations, session_factory, upgrade
from service.store.progress import progress
from service.store.tables import metadata
from tests.service.samples import NUMERICS, moment, outcome
from tests.service.store.released import ADDED, HALF, sweep_of
from tests.service.store.test_conformance import Sessions, check_counters, create

NAMES = ("finished", "half done", "waits", "paused", "cancelled")
Contents = dict[str, list[dict[str, Any]]]


def revisions(connection: Connection) -> list[str]:
    """Every revision, oldest first."""
    script = ScriptDirectory.from_config(migrations(connection))
    return [r.revision for r in script.walk_revisions()][::-1]


def contents(connection: Connection) -> Contents:
    """Every row of every table as it is now."""
    every = select(text("*"))
    return {
        name: [dict(r) for r in connection.execute(every.select_from(table(name))).mappings()]
        for name in inspect(connection).get_table_names()
        if name != "alembic_version"
    }


def lacking(before: Contents, after: Contents) -> list[tuple[str, dict[str, Any]]]:
    """Rows of `before` that are not in `after`, by the columns that both have."""
    found = []
    for name in before.keys() & after.keys():
        if not before[name] or not after[name]:
            found += [(name, row) for row in before[name]]
            continue
        both = before[name][0].keys() & after[name][0].keys()
        there = {_text(row, both) for row in after[name]}
        found += [(name, row) for row in before[name] if _text(row, both) not in there]
    return found


def _text(row: dict[str, Any], columns: set[str]) -> str:
    return json.dumps({k: row[k] for k in sorted(columns)}, default=repr, sort_keys=True)


def climb(engine: Engine) -> tuple[Contents, Contents]:
    """To the newest schema, revision by revision, with data that each has room for.

    Returns what the first schema held, and what the newest does.
    """
    first: Contents = {}
    with engine.connect() as connection:
        every = revisions(connection)
    for revision in every:
        with engine.begin() as connection:
            before = contents(connection)
            command.upgrade(migrations(connection), revision)
            assert lacking(before, contents(connection)) == [], revision
            if revision in ADDED:
                ADDED[revision](connection)
            first = first or contents(connection)
    with engine.connect() as connection:
        return first, contents(connection)


def finish(sessions: Sessions, sweep: str) -> None:
    """As a dispatcher would: what ran is handed back, all that is left is claimed and recorded."""
    with sessions.begin() as session:
        if sweeps.show(session, sweep).state == "paused":
            sweeps.resume(session, sweep)
    for _ in range(20):
        with sessions.begin() as session:
            assert classes.pin(session, sweep, NUMERICS)
            for queue in claims.queues(session):
                if queue.sweep == sweep:
                    tasks = claims.claim(session, sweep, 0, 5, worker="w", now=moment(200))
                    completion.complete(
                        session,
                        outcomes=[outcome(task) for task in tasks],
                        failures=(),
                        dropped=(),
                        numerics_id=classes.class_id(NUMERICS),
                        max_attempts=3,
                        now=moment(300),
                    )


def test_a_store_of_every_released_schema_comes_up_whole_goes_down_and_comes_up_again(
    bare: Engine,
) -> None:
    first, top = climb(bare)
    assert [name for name, rows in top.items() if not rows] == [], "give the table a row in ADDED"
    with bare.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        every = revisions(connection)
    for revision in every[-2::-1]:
        with bare.begin() as connection:
            command.downgrade(migrations(connection), revision)
            gone = lacking(top, contents(connection))
            assert [row for row in gone if not expressed_only_later(*row)] == [], revision
    upgrade(bare)
    with bare.begin() as connection:
        assert lacking(first, contents(connection)) == []
    with bare.begin() as connection:
        command.downgrade(migrations(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    upgrade(bare)


def expressed_only_later(table: str, row: dict[str, Any]) -> bool:
    """Whether a row says what an earlier schema has no words for: its downgrade tells so."""
    return table == "idempotency" and row["owner"] != ""


def test_the_service_goes_on_where_a_store_of_the_first_schema_stood(bare: Engine) -> None:
    with bare.begin() as connection:
        command.upgrade(migrations(connection), "0001")
        ADDED["0001"](connection)
    upgrade(bare)
    sessions = session_factory(bare)
    for name in NAMES:
        check_counters(sessions, sweep_of(name))
    with sessions() as session:
        assert [progress(session, sweep_of(name)).ended for name in NAMES] == [16, 9, 0, 3, 16]
        report = build(session, sweep_of("finished"))
        assert report.findings["plan"]["settled_seeds"] == 4
    with sessions.begin() as session:
        assert release.release_all(session, now=moment(100)) > 0
    fresh = create(sessions, seeds=4)
    for sweep in (HALF, sweep_of("waits"), sweep_of("paused"), fresh):
        finish(sessions, sweep)
        check_counters(sessions, sweep)
        with sessions() as session:
            assert sweeps.show(session, sweep).state == "finished"
    with sessions() as session:
        equal = (sweep_of("finished"), sweep_of("waits"), fresh)
        mine = [build(session, sweep).findings for sweep in equal]
    assert mine[0]["outcomes_hash"] == mine[1]["outcomes_hash"]  # a new one has other streams
    assert len({json.dumps(found["criteria"]) for found in mine}) == 1

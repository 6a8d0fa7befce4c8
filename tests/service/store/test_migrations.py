"""Migrations go down and up again, with rows in the tables."""

from alembic import command
from sqlalchemy import Engine, inspect

from service.store.engine import migrations, session_factory, upgrade
from service.store.progress import progress
from tests.service.samples import outcome
from tests.service.store.test_conformance import check_counters, claim, complete, create


def test_every_migration_goes_down_and_up_again_and_keeps_the_rows(engine: Engine) -> None:
    sessions = session_factory(engine)
    sweep = create(sessions)
    complete(sessions, [outcome(t) for t in claim(sessions, sweep, 8)])
    before = {i["name"] for i in inspect(engine).get_indexes("trials")}
    with engine.begin() as connection:
        command.downgrade(migrations(connection), "0001")
    assert "ix_trials_queue" in {i["name"] for i in inspect(engine).get_indexes("trials")}
    upgrade(engine)
    assert {i["name"] for i in inspect(engine).get_indexes("trials")} == before
    assert {"ix_trials_waiting", "ix_trials_running", "ix_trials_errored"} <= before
    with sessions() as session:
        assert progress(session, sweep).ended == 8
    check_counters(sessions, sweep)

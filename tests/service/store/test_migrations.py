"""Migrations keep what is there, up and down, on each database."""

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, func, inspect, select

from service.store import pairing
from service.store.engine import migrations, session_factory, upgrade
from service.store.progress import progress
from service.store.tables import metadata, outcomes, results, trials
from tests.service.samples import outcome
from tests.service.store.test_conformance import check_counters, claim, complete, create
from workers.messages import Failure


def test_a_store_of_the_first_schema_comes_up_with_its_outcomes(engine: Engine) -> None:
    """In particular no outcome is lost to ON DELETE CASCADE while a table changes."""
    sessions = session_factory(engine)
    sweep = create(sessions)
    taken = claim(sessions, sweep, 6)
    failed = Failure(taken[5].trial, taken[5].attempt, "e", "t")
    complete(sessions, [outcome(t) for t in taken[:4]], failures=[failed])
    with engine.begin() as connection:
        command.downgrade(migrations(connection), "0001")
    assert "losses" not in {c["name"] for c in inspect(engine).get_columns("trials")}
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        count = select(func.count())
        assert connection.scalar(count.select_from(outcomes)) == 4
        assert connection.scalar(count.select_from(results)) == 4
        found = connection.execute(select(trials.c.losses, trials.c.failures).order_by(trials.c.id))
        assert [tuple(r) for r in found] == [(0, 0)] * 5 + [(0, 1)]
    check_counters(sessions, sweep)
    [task] = claim(sessions, sweep, 1)
    assert task.attempt == 2
    complete(sessions, [outcome(task)])
    check_counters(sessions, sweep)


def test_every_migration_goes_down_and_up_again_and_keeps_the_rows(engine: Engine) -> None:
    sessions = session_factory(engine)
    sweep = create(sessions)
    complete(sessions, [outcome(t) for t in claim(sessions, sweep, 8)])
    before = {i["name"] for i in inspect(engine).get_indexes("trials")}
    three = {f"{i}": {"noise_eta": i / 100} for i in range(3)}
    grid = {"learning_rate": [0.1]}
    odd = create(
        sessions, arms=three, primary={"arm": "2", "against": "1", "sided": "less"}, grid=grid
    )
    alone = create(sessions, arms={"a": {}})
    for other in (odd, alone):
        complete(sessions, [outcome(t) for t in claim(sessions, other, 10)])
    with sessions() as session:
        pairs = {s: pairing.counted_pairs(session, s) for s in (sweep, odd, alone)}
    assert [len(found) for found in pairs.values()] == [2, 4, 0]
    assert pairs[odd][0].pairs.n == 2
    with engine.begin() as connection:
        command.downgrade(migrations(connection), "0001")
    assert "ix_trials_queue" in {i["name"] for i in inspect(engine).get_indexes("trials")}
    upgrade(engine)
    assert {i["name"] for i in inspect(engine).get_indexes("trials")} == before
    assert {"ix_trials_waiting", "ix_trials_running", "ix_trials_errored"} <= before
    with sessions() as session:
        assert progress(session, sweep).ended == 8
        assert {s: pairing.counted_pairs(session, s) for s in pairs} == pairs
    for other in pairs:
        check_counters(sessions, other)

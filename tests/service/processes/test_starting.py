"""A process of its own starts on a store that it can share, at its own schema, or says why not."""

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, text

from service.configuration import Configuration
from service.processes.api import serve_api
from service.processes.dispatcher import dispatch
from service.store.engine import check_schema, migrations
from service.store.errors import SchemaError, StoreAwayError, StoreNotSharedError


@pytest.mark.parametrize(("start", "name"), [(serve_api, "api"), (dispatch, "dispatcher")])
def test_a_sqlite_file_is_refused(start: object, name: str, tmp_path: Path) -> None:
    """It is one process's own; nothing is made."""
    with pytest.raises(StoreNotSharedError, match=rf"`seedbed {name}`.*seedbed serve"):
        start(Configuration(state_folder=tmp_path / "state"))  # type: ignore[operator]
    assert not (tmp_path / "state").exists()


def test_the_newest_schema_is_accepted_and_no_other(engine: Engine) -> None:
    """An older one is not migrated by the way, and nobody works on a newer one."""
    check_schema(engine)
    with engine.begin() as connection:
        command.downgrade(migrations(connection), "-1")
    with pytest.raises(SchemaError, match="run `seedbed db upgrade` once"):
        check_schema(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match="older than the store"):
        check_schema(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(SchemaError, match="has no schema"):
        check_schema(engine)


def test_a_store_that_is_away_is_named(tmp_path: Path) -> None:
    away = Configuration(
        state_folder=tmp_path, port=0, database_url="postgresql+psycopg://no@127.0.0.1:9/none"
    )
    with pytest.raises(StoreAwayError, match="whether PostgreSQL is up"):
        serve_api(away)

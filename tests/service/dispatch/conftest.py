"""Stores that these tests share."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.store.engine import session_factory
from tests.service.dispatch.stand_ins import Clock


@pytest.fixture
def sessions(sqlite: Engine) -> sessionmaker[Session]:
    """Sessions of a SQLite store."""
    return session_factory(sqlite)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The dispatcher's, which stands still until a test moves it."""
    found = Clock()
    for module in ("fleet", "loop"):
        monkeypatch.setattr(f"service.dispatch.{module}.time", found)
    return found

"""Stores that these tests share."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.store.engine import session_factory
from tests.service.dispatch.stand_ins import Clock
from tests.service.samples import moment


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


@pytest.fixture
def long_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, no lease runs out while a test looks at who has it."""
    monkeypatch.setattr("service.dispatch.leadership.LEASE_TTL_S", 600.0)


@pytest.fixture
def one_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is at one moment: the audit compares the hours in which trials ran, as places."""
    monkeypatch.setattr("service.dispatch.loop.now", moment)

"""Stores that these tests share."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.store.engine import session_factory


@pytest.fixture
def sessions(sqlite: Engine) -> sessionmaker[Session]:
    """Sessions of a SQLite store."""
    return session_factory(sqlite)

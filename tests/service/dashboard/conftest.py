"""A served application for these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.service.serving import Served, serving


@pytest.fixture
def served(sqlite: Engine, tmp_path: Path) -> Iterator[Served]:
    """The application on a free port, its store empty."""
    with serving(sqlite, tmp_path) as found:
        yield found

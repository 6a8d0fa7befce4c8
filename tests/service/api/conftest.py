"""The application over a real SQLite store, without a dispatcher."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.api.app import Health, create_app
from service.configuration import Configuration
from service.store.engine import reading_factory, session_factory

BASE = "http://127.0.0.1:8321"


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio alone."""
    return "asyncio"


class Served:
    """An application and what it was given."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.writing: sessionmaker[Session] = session_factory(engine)
        self.woken = 0
        self.free: int | None = 10**15
        self.lacking: dict[str, str] = {}
        self.classes: set[str] | None = None
        self.health = Health(store=True, dispatcher=True, workers=2)
        self.app = create_app(
            writing=self.writing,
            reading=reading_factory(engine),
            configuration=Configuration(state_folder=folder),
            wake=self.wake,
            health=lambda: self.health,
            free_bytes=lambda: self.free,
            lacking=lambda names: {n: self.lacking[n] for n in names if n in self.lacking},
            classes=lambda: self.classes,
        )

    def wake(self) -> None:
        self.woken += 1

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A client that speaks to the application directly."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=BASE, **options)


@pytest.fixture
def served(sqlite: Engine, tmp_path: Path) -> Served:
    """The application."""
    return Served(sqlite, tmp_path)


@pytest.fixture
async def api(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it."""
    async with served.client() as client:
        yield client

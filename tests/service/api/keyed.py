"""The application with keys on, and callers of every kind."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.access.principal import Scope
from service.api.app import Health, create_app
from service.configuration import Configuration
from service.store import keys
from service.store.engine import reading_factory, session_factory
from tests.service.samples import CHEAP

BASE = "http://127.0.0.1:8321"


@dataclass
class Keyed:
    """An application that asks for keys."""

    engine: Engine
    folder: Path
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writing: sessionmaker[Session] = session_factory(self.engine)
        self.woken = 0
        self.app = create_app(
            writing=self.writing,
            reading=reading_factory(self.engine),
            configuration=Configuration(
                **{"state_folder": self.folder, "auth": "keys"} | self.options
            ),
            wake=self.wake,
            health=lambda: Health(store=True, dispatcher=True, workers=2),
            free_bytes=lambda: 10**15,
            hasher=CHEAP,
        )

    def wake(self) -> None:
        self.woken += 1

    def key(self, owner: str, scope: str = "submit", **options: Any) -> str:
        """A new key."""
        with self.writing.begin() as session:
            return keys.create(
                session,
                name="test",
                owner=owner,
                scope=Scope(scope),
                now=datetime.now(UTC),
                hasher=CHEAP,
                **options,
            )[1]

    def revoked(self, owner: str, scope: str = "admin") -> str:
        """A key that was revoked."""
        text = self.key(owner, scope)
        with self.writing.begin() as session:
            keys.revoke(session, text.split("_")[1], now=datetime.now(UTC))
        return text

    def expired(self, owner: str, scope: str = "admin") -> str:
        """A key whose time has run out."""
        return self.key(owner, scope, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    def client(self, key: str | None = None, **options: Any) -> httpx.AsyncClient:
        """A client that speaks to the application directly."""
        headers = options.pop("headers", {})
        if key is not None:
            headers = {"Authorization": f"Bearer {key}"} | headers
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers, **options)

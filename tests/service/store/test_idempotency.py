"""One key, one sweep, whoever comes at once, on SQLite and on PostgreSQL."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from service.store import sweeps
from service.store.errors import IdempotencyConflictError
from service.store.tables import cells, idempotency
from service.store.tables import sweeps as rows
from tests.service.samples import moment, plan

Sessions = sessionmaker[Session]


@pytest.fixture
def meeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two creations wait for each other between looking for the key and writing the plan.

    SQLite lets only one in at a time: it finds nobody to meet and goes on.
    """
    barrier = threading.Barrier(2)
    write = sweeps.write_plan

    def met(*given: object) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(1.0)
        write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(sweeps, "write_plan", met)


def create(sessions: Sessions, body: str) -> tuple[str, bool]:
    """A sweep under key k."""
    with sessions.begin() as session:
        return sweeps.create(session, plan(), now=moment(), idempotency_key=("k", body))


@pytest.mark.usefixtures("meeting")
def test_two_equal_requests_at_once_make_one_sweep(sessions: Sessions) -> None:
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: create(sessions, "a"), range(2))
    assert one[0] == other[0]
    assert {one[1], other[1]} == {True, False}
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(rows)) == 1
        assert session.scalar(select(func.count()).select_from(cells)) == 4
        assert session.scalar(select(func.count()).select_from(idempotency)) == 1


@pytest.mark.usefixtures("meeting")
def test_another_body_at_once_is_refused_and_leaves_nothing(sessions: Sessions) -> None:
    def attempt(body: str) -> str | None:
        try:
            return create(sessions, body)[0]
        except IdempotencyConflictError:
            return None

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(attempt, ("a", "b")))
    assert found.count(None) == 1
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(rows)) == 1

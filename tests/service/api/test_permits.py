"""A stream of events ends with what opened it, on a served application."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, delete
from sqlalchemy.exc import OperationalError
from structlog.contextvars import bound_contextvars, get_contextvars
from structlog.testing import capture_logs

from service.access.keyring import BadKeyError, Keyring
from service.access.login import COOKIE, hash_of
from service.access.principal import Principal, Scope, held
from service.api import permits
from service.api.permits import Permits
from service.store import keys, logins
from service.store.engine import reading_factory, session_factory
from service.store.tables import api_keys
from tests.service.samples import CHEAP, spec
from tests.service.serving import Served, serving

#: a stream that has not ended by then does not end; it should within five seconds
LONG_S = 60.0
ADDRESS = "192.0.2.1"
SUE = Principal("sue", held(Scope.SUBMIT), key="k")


@pytest.fixture
def served(sqlite: Engine, tmp_path: Path) -> Iterator[Served]:
    with serving(sqlite, tmp_path, auth="keys") as found:
        yield found


def key(served: Served, expires_at: datetime | None = None) -> str:
    with session_factory(served.engine).begin() as session:
        return keys.create(
            session,
            name="test",
            owner="sue",
            scope=Scope.SUBMIT,
            now=datetime.now(UTC),
            expires_at=expires_at,
            hasher=CHEAP,
        )[1]


def id_of(text: str) -> str:
    return text.split("_")[1]


def revoke(served: Served, text: str) -> None:
    with session_factory(served.engine).begin() as session:
        keys.revoke(session, id_of(text), now=datetime.now(UTC))


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def submit(served: Served, text: str) -> str:
    url = f"{served.url}/api/v1/sweeps"
    reply = httpx.post(url, json=spec(), headers=bearer(text), timeout=LONG_S, trust_env=False)
    return str(reply.raise_for_status().json()["id"])


@contextmanager
def followed(served: Served, sweep: str, headers: dict[str, str]) -> Iterator[threading.Thread]:
    """A thread that reads a stream to its end, once the stream has begun."""
    begun = threading.Event()

    def follow() -> None:
        url = f"{served.url}/api/v1/sweeps/{sweep}/events"
        with httpx.stream("GET", url, headers=headers, timeout=60, trust_env=False) as reply:
            assert reply.status_code == 200
            for _ in reply.iter_bytes():
                begun.set()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    assert begun.wait(LONG_S)
    yield thread
    thread.join(LONG_S)
    assert not thread.is_alive()


def test_a_stream_ends_when_its_key_is_revoked_and_anothers_goes_on(served: Served) -> None:
    one, other = key(served), key(served)
    sweep = submit(served, other)
    with (
        followed(served, sweep, bearer(other)) as goes_on,
        followed(served, sweep, bearer(one)) as ends,
    ):
        revoke(served, one)
        ends.join(LONG_S)
        assert not ends.is_alive()
        assert goes_on.is_alive()
        served.train_all()  # or the other would go on
    url = f"{served.url}/api/v1/sweeps/{sweep}/events"
    assert httpx.get(url, headers=bearer(one), trust_env=False).status_code == 401


def test_a_stream_ends_when_its_key_expires_or_is_gone(served: Served) -> None:
    brief, gone = key(served, datetime.now(UTC) + timedelta(hours=1)), key(served)
    sweep = submit(served, brief)
    with (
        followed(served, sweep, bearer(brief)),
        followed(served, sweep, bearer(gone)),
        session_factory(served.engine).begin() as session,
    ):
        session.execute(delete(api_keys).where(api_keys.c.id == id_of(gone)))
        ends = api_keys.update().where(api_keys.c.id == id_of(brief))
        session.execute(ends.values(expires_at=datetime.now(UTC)))


def test_a_pages_stream_ends_with_its_log_in(served: Served) -> None:
    text, now = key(served), datetime.now(UTC)
    sweep = submit(served, text)
    with session_factory(served.engine).begin() as session:
        until = now + timedelta(hours=1)
        logins.begin(session, hash_of("abc"), id_of(text), now=now, expires_at=until)
    with followed(served, sweep, {"Cookie": f"{COOKIE}=abc"}) as ends:
        with session_factory(served.engine).begin() as session:
            logins.end(session, hash_of("abc"))
        ends.join(LONG_S)
        assert not ends.is_alive()


def test_to_judge_again_takes_no_argon2(
    sqlite: Engine, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = Keyring(reading_factory(sqlite), session_factory(sqlite))
    text = key(served)
    found = ring.find(text, ADDRESS)
    monkeypatch.setattr(Keyring, "_verify", lambda *_: pytest.fail("argon2"))
    assert ring.still(found) == found
    ring.settle()
    revoke(served, text)
    with pytest.raises(BadKeyError, match="was revoked"):
        ring.still(found)


def test_a_token_opens_nothing_once_it_has_expired(sqlite: Engine) -> None:
    ring = Keyring(reading_factory(sqlite), session_factory(sqlite))
    good = Principal("ada", held(Scope.READ), until_s=time.time() + 60)
    assert ring.still(good) == good
    with pytest.raises(BadKeyError, match="expired"):
        ring.still(Principal("ada", held(Scope.READ), until_s=time.time() - 1))


def away(*_: object) -> Principal:
    raise OperationalError("SELECT", {}, Exception("away"))


def test_what_has_expired_is_over_while_the_store_is_away(
    sqlite: Engine, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key, and a log-in that ends before its key or with it."""
    start = datetime.now(UTC)
    now = [start]
    ring = Keyring(reading_factory(sqlite), session_factory(sqlite), now=lambda: now[0])
    hour = timedelta(hours=1)
    text = key(served, start + 2 * hour)
    with session_factory(served.engine).begin() as session:
        for name, lasts in (("brief", hour), ("long", 3 * hour)):
            until = start + lasts
            logins.begin(session, hash_of(name), id_of(text), now=start, expires_at=until)
    found = {name: ring.by_session(name) for name in ("brief", "long")}
    found["key"] = ring.find(text, ADDRESS)
    ring.settle()
    monkeypatch.setattr(keys, "find", away)
    monkeypatch.setattr(logins, "find", away)
    for name, lasts in (("brief", hour), ("long", 2 * hour), ("key", 2 * hour)):
        now[0] = start + lasts - timedelta(seconds=1)
        with pytest.raises(OperationalError):
            ring.still(found[name])
        now[0] = start + lasts
        with pytest.raises(BadKeyError, match="has expired"):
            ring.still(found[name])


@pytest.mark.anyio
async def test_a_scope_that_is_taken_ends_it_and_a_store_that_is_away_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Streams of one caller are asked about together."""
    monkeypatch.setattr(permits, "AGAIN_S", 0.0)
    asked = 0
    answers: list[Callable[[], Principal]] = [lambda: SUE, away, lambda: SUE]

    async def still(principal: Principal) -> Principal:
        nonlocal asked
        assert principal == SUE
        asked += 1
        await asyncio.sleep(0)
        return answers.pop(0)() if answers else Principal("sue", held(Scope.READ), key="k")

    found = Permits(still)
    with capture_logs() as logged:
        async with found.of(SUE, Scope.SUBMIT) as one, found.of(SUE, Scope.SUBMIT) as other:
            assert one is other
            [watched] = found._watched.values()
            await asyncio.wait_for(watched.task, 20)
            assert one.over
    assert asked == 4
    assert [line["event"] for line in logged] == ["streams_ended"]
    assert found._watched == {}


@pytest.mark.anyio
async def test_what_expires_while_the_store_hangs_is_over_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a store that does not answer is asked once, however long it takes."""
    monkeypatch.setattr(permits, "AGAIN_S", 0.0)
    asked = 0

    async def still(_: Principal) -> Principal:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()
        raise AssertionError

    found, brief = Permits(still), replace(SUE, until_s=time.time() + 0.5)
    with capture_logs() as logged:
        async with found.of(SUE, Scope.READ) as other, found.of(brief, Scope.READ) as permit:
            watched = found._watched[brief, Scope.READ]
            await asyncio.wait_for(watched.task, 20)
            assert permit.over
            assert not other.over
    assert time.time() >= (brief.until_s or 0.0)
    assert asked == 2
    assert "has expired" in logged[0]["why"]


@pytest.mark.anyio
async def test_the_end_of_a_callers_streams_is_no_line_of_the_first_ones_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(permits, "AGAIN_S", 0.0)
    seen = []

    async def still(_: Principal) -> Principal:
        seen.append(get_contextvars())
        raise BadKeyError("revoked", "")

    found = Permits(still)
    with bound_contextvars(request_id="first"):
        async with found.of(SUE, Scope.READ):
            [watched] = found._watched.values()
            await asyncio.wait_for(watched.task, 20)
    assert seen == [{}]


@pytest.mark.anyio
async def test_nobody_is_asked_where_there_are_no_keys() -> None:
    async with Permits(None).of(SUE, Scope.READ) as permit:
        assert not permit.over

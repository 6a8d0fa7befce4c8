"""API keys over REST, and what checks them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from service.access import keyring as module
from service.access import login
from service.access.key import id_of
from service.access.keyring import (
    FITS_S,
    FRESH_S,
    MOST_WRONG,
    TOUCH_S,
    WRONG_S,
    BadKeyError,
    Keyring,
    ManyWrongError,
)
from service.access.principal import Scope
from service.api.seldom import Seldom
from service.store import keys
from service.store.engine import reading_factory
from service.store.tables import api_keys
from tests.service.api.keyed import BASE, Keyed
from tests.service.samples import CHEAP

pytestmark = pytest.mark.anyio

KEYS = "/api/v1/keys"
SWEEPS = "/api/v1/sweeps"
ADDRESS, ELSEWHERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def keyed(sqlite: Engine, tmp_path: Path) -> Keyed:
    """The application with keys on."""
    return Keyed(sqlite, tmp_path)


async def test_an_admin_makes_a_key_lists_it_and_revokes_it(
    keyed: Keyed, clock: "Clock", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyed.app.state.seedbed.door._keyring, "_clock", clock)
    async with keyed.client(keyed.key("root", "admin")) as admin:
        reply = await admin.post(KEYS, json={"name": "laptop", "owner": "sue", "scope": "submit"})
        assert reply.status_code == 201
        made = reply.json()
        assert reply.headers["location"] == f"{KEYS}/{made['id']}"
        assert id_of(made["key"]) == made["id"]
        listed = (await admin.get(KEYS)).json()["items"]
        assert {(k["owner"], k["scope"]) for k in listed} == {("root", "admin"), ("sue", "submit")}
        assert made["key"] not in str(listed)
        assert not any("hash" in k or "key" in k for k in listed)
        async with keyed.client(made["key"]) as sue:
            assert (await sue.get(SWEEPS)).status_code == 200
            gone = await admin.delete(f"{KEYS}/{made['id']}")
            assert gone.json()["revoked_at"] is not None
            assert (await admin.delete(f"{KEYS}/{made['id']}")).json() == gone.json()
            clock.pass_(FRESH_S + 0.1)
            reply = await sue.get(SWEEPS)
            assert reply.status_code == 401
            assert "was revoked" in reply.json()["detail"]
        assert (await admin.delete(f"{KEYS}/nope")).status_code == 404


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"owner": "me"}, "whoever asks"),
        ({"owner": ""}, "owner"),
        ({"owner": " sue"}, "owner"),
        ({"name": "a\nb"}, "name"),
        ({"scope": "root"}, "scope"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expired"),
        ({"expires_at": "2037-01-01T00:00:00"}, "expires_at"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_key_that_would_be_of_no_use_is_refused(
    keyed: Keyed, change: dict[str, str], words: str
) -> None:
    body = {"name": "n", "owner": "sue", "scope": "read"} | change
    async with keyed.client(keyed.key("root", "admin")) as admin:
        reply = await admin.post(KEYS, json=body)
        assert reply.status_code == 422
        assert words in reply.text
        assert len((await admin.get(KEYS)).json()["items"]) == 1


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.wall = datetime.now(UTC)

    def __call__(self) -> float:
        return self.at

    def now(self) -> datetime:
        return self.wall

    def pass_(self, seconds: float) -> None:
        self.at += seconds
        self.wall += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def ring(keyed: Keyed, clock: Clock) -> Keyring:
    """A keyring of its own over the application's store."""
    reading = reading_factory(keyed.engine)
    return Keyring(reading, keyed.writing, clock=clock, now=clock.now)


def test_argon2_runs_once_for_ten_minutes_and_the_store_is_asked_every_two_seconds(
    keyed: Keyed, ring: Keyring, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    verify = Keyring._verify
    monkeypatch.setattr(
        Keyring, "_verify", lambda *given: runs.append(1) is None and verify(*given)
    )
    key = keyed.key("sue")
    assert ring.fresh(key) is None
    assert not ring.fits(key)
    found = ring.find(key, ADDRESS)
    assert (found.name, found.key) == ("sue", id_of(key))
    assert found.scopes == {Scope.READ, Scope.SUBMIT}
    for _ in range(3):
        assert ring.find(key, ADDRESS) == ring.fresh(key) == found
        clock.pass_(FRESH_S + 0.1)
        assert ring.fresh(key) is None
        assert ring.fits(key)
    assert len(runs) == 1
    clock.pass_(FITS_S)
    assert not ring.fits(key)
    ring.find(key, ADDRESS)
    assert len(runs) == 2


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What argon2 was asked about."""
    seen: list[str] = []
    verify = Keyring._verify

    def note(self: Keyring, stored: str, text: str) -> bool:
        seen.append(text)
        return verify(self, stored, text)

    monkeypatch.setattr(Keyring, "_verify", note)
    return seen


def wrong(key: str, number: int) -> str:
    """A key's id with another secret."""
    return f"{key.rpartition('_')[0]}_{number:048x}"


def test_wrong_secrets_cost_an_address_few_checks_and_nobody_else_anything(
    keyed: Keyed, ring: Keyring, clock: Clock, checks: list[str]
) -> None:
    key, another = keyed.key("sue"), keyed.key("sue")
    for number in range(MOST_WRONG):
        with pytest.raises(BadKeyError, match="or its secret is another"):
            ring.find(wrong(key, number), ADDRESS)
    assert len(checks) == MOST_WRONG
    for text in (wrong(key, 99), key):
        with pytest.raises(ManyWrongError, match="10 wrong secrets") as refused:
            ring.find(text, ADDRESS)
        assert refused.value.wait_s == WRONG_S
    assert len(checks) == MOST_WRONG
    assert ring.find(another, ADDRESS).name == "sue"
    assert ring.find(key, ELSEWHERE).name == "sue"
    assert ring.find(key, ADDRESS).name == "sue"  # it is known to be right by now
    clock.pass_(WRONG_S)
    with pytest.raises(BadKeyError, match="or its secret is another"):
        ring.find(wrong(key, 99), ADDRESS)


def test_a_key_in_steady_use_never_falls_under_anothers_wrong_secrets(
    keyed: Keyed, ring: Keyring, clock: Clock
) -> None:
    """Both from one address, for longer than a key is remembered after its last use."""
    key = keyed.key("sue")
    ring.find(key, ELSEWHERE)
    for second in range(1500):
        with pytest.raises(BadKeyError):
            ring.find(wrong(key, second), ADDRESS)
        assert (ring.fresh(key) or ring.find(key, ADDRESS)).name == "sue"
        clock.pass_(1.0)


def test_keys_in_use_are_read_again_by_one_query(
    keyed: Keyed, ring: Keyring, clock: Clock, checks: list[str]
) -> None:
    """What one of them finds out is known of all; one that is in use is remembered on."""
    some = [keyed.key("sue") for _ in range(20)]
    for key in some:
        ring.find(key, ADDRESS)
    asked = 0

    def count(*told: Any) -> None:
        nonlocal asked
        asked += told[2].startswith("SELECT")

    event.listen(keyed.writing.kw["bind"], "before_cursor_execute", count)
    for _ in range(400):
        clock.pass_(FRESH_S + 0.1)
        ring.find(some[0], ADDRESS)
        assert all(ring.fresh(key) is not None for key in some)
    event.remove(keyed.writing.kw["bind"], "before_cursor_execute", count)
    ring.settle()
    assert asked == 400
    assert len(checks) == len(some)
    with keyed.writing.begin() as session:
        keys.revoke(session, str(id_of(some[7])), now=clock.now())
    clock.pass_(FRESH_S + 0.1)
    ring.find(some[0], ADDRESS)
    with pytest.raises(BadKeyError, match="was revoked"):
        ring.fresh(some[7])
    clock.pass_(FITS_S + FRESH_S)
    assert not any(ring.fits(key) for key in some)


def test_a_key_whose_hash_is_another_by_now_is_known_no_more(
    keyed: Keyed, ring: Keyring, checks: list[str]
) -> None:
    """Or each use of it would cost a check, past the line for argon2 and however many failed."""
    key, another = keyed.key("sue"), keyed.key("sue")
    ring.find(key, ADDRESS)
    with keyed.writing.begin() as session:
        other = keys.find(session, str(id_of(another)))
        assert other is not None
        session.execute(
            api_keys.update().where(api_keys.c.id == id_of(key)).values(hash=other.hash)
        )
    for _ in range(MOST_WRONG):
        with pytest.raises(BadKeyError, match="or its secret is another"):
            ring.find(key, ADDRESS)
        assert not ring.fits(key)
    with pytest.raises(ManyWrongError):
        ring.find(key, ADDRESS)
    assert len(checks) == 1 + MOST_WRONG


def test_made_up_keys_crowd_out_nothing_that_is_counted(
    keyed: Keyed, ring: Keyring, checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused by the words of a wrong secret, and cost no check however many come."""
    monkeypatch.setattr(login, "_MOST_ADDRESSES", 3)
    key = keyed.key("sue")
    for number in range(MOST_WRONG):
        with pytest.raises(BadKeyError, match="or its secret is another"):
            ring.find(wrong(key, number), ADDRESS)
    for number in range(2 * MOST_WRONG):
        with pytest.raises(BadKeyError, match="or its secret is another"):
            ring.find(f"sb_{number:016x}_" + "0" * 48, ADDRESS)
    with pytest.raises(ManyWrongError):
        ring.find(wrong(key, 99), ADDRESS)
    assert len(checks) == MOST_WRONG


async def test_an_address_that_sends_wrong_secrets_waits_and_fills_no_log(
    keyed: Keyed, checks: list[str]
) -> None:
    key = keyed.key("sue")

    async def ask(text: str, address: str) -> httpx.Response:
        transport = httpx.ASGITransport(keyed.app, client=(address, 1))
        headers = {"Authorization": f"Bearer {text}"}
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as api:
            return await api.get(SWEEPS)

    with capture_logs() as logged:
        for number in range(MOST_WRONG):
            assert (await ask(wrong(key, number), ADDRESS)).status_code == 401
        refused = await ask(wrong(key, 99), ADDRESS)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= WRONG_S
    assert "send the right key" in refused.json()["cure"]
    assert len(checks) == MOST_WRONG
    said, *more = [line for line in logged if line["event"] == "key_refused"]
    assert (said["client"], said["left_out"]) == (ADDRESS, 0)
    assert len(more) <= 1, "one more where the machine stood still"
    assert (await ask(key, ELSEWHERE)).status_code == 200


def test_a_line_says_how_many_were_left_out_before_it(clock: Clock) -> None:
    seldom = Seldom(10.0, clock)
    assert [seldom.due("a"), seldom.due("a"), seldom.due("a"), seldom.due("b")] == [
        0,
        None,
        None,
        0,
    ]
    clock.pass_(10.0)
    assert [seldom.due("a"), seldom.due("a"), seldom.due("b")] == [2, None, 0]


def test_a_key_revoked_or_expired_is_noticed_from_the_store_alone(
    keyed: Keyed, ring: Keyring, clock: Clock
) -> None:
    key = keyed.key("sue")
    ring.find(key, ADDRESS)
    with keyed.writing.begin() as session:
        keys.revoke(session, str(id_of(key)), now=clock.now())
    clock.pass_(FRESH_S + 0.1)
    for _ in range(2):
        with pytest.raises(BadKeyError, match="was revoked"):
            ring.find(key, ADDRESS)
    brief = keyed.key("sue", expires_at=clock.now() + timedelta(seconds=1))
    ring.find(brief, ADDRESS)
    clock.pass_(1.0)
    with pytest.raises(BadKeyError, match="expired at"):
        ring.fresh(brief)


def test_who_has_not_the_secret_learns_nothing_of_a_key(keyed: Keyed, ring: Keyring) -> None:
    """A wrong secret of a revoked key reads as one of a key that never was; its time may differ."""
    revoked = keyed.revoked("rex")
    wrong = revoked[:-1] + ("0" if revoked[-1] != "0" else "1")
    for key in (wrong, "sb_" + "0" * 16 + "_" + "0" * 48):
        with pytest.raises(BadKeyError, match=r"there is no API key .* or its secret is another"):
            ring.find(key, ADDRESS)


def test_memory_holds_no_key(keyed: Keyed, ring: Keyring) -> None:
    key = keyed.key("sue")
    ring.find(key, ADDRESS)
    secret = key.rpartition("_")[2]
    [(digest, known)] = ring._known.items()
    assert len(digest) == 32
    assert secret not in repr((digest, known, ring._touched))
    with keyed.writing() as session:
        stored = session.execute(api_keys.select()).one()
    assert secret not in repr(stored)
    assert stored.hash.startswith("$argon2id$")


def test_the_last_use_is_written_once_a_minute(keyed: Keyed, ring: Keyring, clock: Clock) -> None:
    key = keyed.key("sue")
    seen = []
    for pause in (1.0, 1.0, TOUCH_S, 1.0):
        ring.find(key, ADDRESS)
        ring.settle()
        with keyed.writing() as session:
            found = keys.find(session, str(id_of(key)))
        assert found is not None
        seen.append(found.last_used_at)
        clock.pass_(pause)
    assert seen[0] == seen[1] == seen[2] != seen[3]


async def test_a_store_that_is_down_is_said_and_no_key_is_called_bad(
    keyed: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("postgresql://u:hunter2@db"))

    key = keyed.key("sue")
    monkeypatch.setattr(module.keys, "find_all", away)
    async with keyed.client(key) as api:
        reply = await api.get(SWEEPS)
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "1"
        assert "hunter2" not in reply.text
        assert (await api.get("/healthz")).status_code == 200


def test_many_keys_are_forgotten_in_turn(
    keyed: Keyed, ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    texts = [keyed.key(f"u{i}") for i in range(3)]
    for text in texts:
        ring.find(text, ADDRESS)
    assert [ring.fits(text) for text in texts] == [False, True, True]


def test_the_store_holds_to_its_rules_on_each_database(engine: Engine) -> None:
    """A key is found by its id, revoked once, counted while it opens."""
    from service.store.engine import session_factory  # noqa: PLC0415 - of both stores

    now = datetime(2026, 11, 24, tzinfo=UTC)
    with session_factory(engine).begin() as session:
        made, text = keys.create(
            session, name="n", owner="o", scope=Scope.ADMIN, now=now, hasher=CHEAP
        )
        CHEAP.verify(made.hash, text)
        assert keys.find(session, made.id) == made
        assert keys.admins(session, now) == 1
        soon = now + timedelta(days=1)
        keys.create(
            session, name="m", owner="o", scope=Scope.ADMIN, now=now, hasher=CHEAP, expires_at=soon
        )
        assert (keys.admins(session, now), keys.admins(session, soon)) == (2, 1)
        assert keys.revoke(session, made.id, now=soon).revoked_at == soon
        assert keys.revoke(session, made.id, now=now).revoked_at == soon
        assert keys.admins(session, soon) == 0
        first, second = keys.page(session, after=None, limit=9)
        assert keys.page(session, after=first.id, limit=9) == [second]

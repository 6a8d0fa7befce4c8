"""Who did what is written down with what was done, and shown to admins."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.access.key import id_of
from service.access.principal import Principal
from service.api.access import ROUTES
from service.api.journal import AGAIN_S, Journal
from service.store import activity
from service.store.activity import Entry
from tests.service.api.keyed import Keyed
from tests.service.samples import spec

pytestmark = pytest.mark.anyio

SWEEPS, ACTIVITY = "/api/v1/sweeps", "/api/v1/activity"


@pytest.fixture
def keyed(sqlite: Engine, tmp_path: Path) -> Keyed:
    """The application with keys on."""
    return Keyed(sqlite, tmp_path)


async def test_what_is_done_or_refused_is_written_down_and_what_changed_nothing_is_not(
    keyed: Keyed,
) -> None:
    sue, sam, root = keyed.key("sue"), keyed.key("sam"), keyed.key("root", "admin")
    twice = {"Idempotency-Key": "k"}
    async with keyed.client(sue) as own, keyed.client(sam) as other, keyed.client(root) as admin:
        sweep = (await own.post(SWEEPS, json=spec(), headers=twice)).json()["id"]
        await own.post(SWEEPS, json=spec(), headers=twice)
        await own.post(f"{SWEEPS}?dry_run=true", json=spec())
        await own.post(SWEEPS, json={"name": "no spec"})
        await own.post(f"{SWEEPS}/{sweep}/pause", json={})
        await other.post(f"{SWEEPS}/{sweep}/cancel", json={})
        await other.get("/api/v1/keys")
        await admin.post(f"{SWEEPS}/{sweep}/cancel", json={})
        body = {"name": "n", "owner": "o", "scope": "read"}
        made = (await admin.post("/api/v1/keys", json=body)).json()
        await admin.delete(f"/api/v1/keys/{made['id']}")
        await admin.delete("/api/v1/keys/nope")
        found = (await admin.get(ACTIVITY)).json()
        told = [(e["principal"], e["action"], e["object"], e["outcome"]) for e in found["items"]]
        assert told[::-1] == [
            ("sue", "sweep_created", sweep, "done"),
            ("sue", "sweep_created", sweep, "repeated"),
            ("sue", "sweep_paused", sweep, "done"),
            ("sam", "sweep_cancelled", sweep, "refused"),
            ("sam", "request", "GET /api/v1/keys", "refused"),
            ("root", "sweep_cancelled", sweep, "done"),
            ("root", "key_made", made["id"], "done"),
            ("root", "key_revoked", made["id"], "done"),
        ]
        assert {e["key"] for e in found["items"]} == {id_of(k) for k in (sue, sam, root)}
        assert {e["address"] for e in found["items"]} == {"127.0.0.1"}
        page = (await admin.get(ACTIVITY, params={"limit": 3})).json()
        rest = (await admin.get(ACTIVITY, params={"before": page["next"]})).json()
        assert page["items"] + rest["items"] == found["items"]
        only = (await admin.get(ACTIVITY, params={"principal": "sam"})).json()["items"]
        assert len(only) == 2
        assert made["key"] not in str(found)
        assert (await own.get(ACTIVITY)).status_code == 403


async def test_an_act_that_fails_leaves_no_entry(keyed: Keyed) -> None:
    """It is written in the same transaction."""
    async with keyed.client(keyed.key("sue")) as own:
        sweep = (await own.post(SWEEPS, json=spec())).json()["id"]
        assert (await own.delete(f"{SWEEPS}/{sweep}")).status_code == 409
    with keyed.writing() as session:
        assert [e["action"] for e in activity.page(session, before=None, limit=9)] == [
            "sweep_created"
        ]


def test_every_act_has_a_name_of_its_own_that_fits() -> None:
    acts = [access.act for access in ROUTES.values() if access.act]
    assert len(acts) == len(set(acts))
    assert max(map(len, acts)) <= 40


def test_the_same_refusal_is_written_once_a_minute(sessions: sessionmaker[Session]) -> None:
    now = [0.0]
    journal = Journal(sessions, 400, lambda: now[0])
    refused = Entry("sam", "request", "GET /", "refused")
    for pause in (1.0, 1.0, AGAIN_S, 0.0):
        journal.refused(refused)
        now[0] += pause
    journal.refused(Entry("sue", "request", "GET /", "refused"))
    with sessions() as session:
        assert len(activity.page(session, before=None, limit=9)) == 3


@pytest.mark.parametrize(("scope", "paths"), [("read", SWEEPS + "/{}/pause"), (None, "/{}")])
async def test_refusals_on_paths_that_somebody_makes_up_are_one(
    keyed: Keyed, scope: str | None, paths: str
) -> None:
    """Nobody fills the store with them: neither who may read, nor who may do nothing."""
    key = keyed.key("eve", scope or "read")
    if scope is None:  # as of a token whose claims stand for no scope
        keyed.app.state.seedbed.door.by_bearer = nothing
    async with keyed.client(key) as api:
        for made_up in range(5):
            assert (await api.post(paths.format(made_up), json={})).status_code == 403
    with keyed.writing() as session:
        found = activity.page(session, before=None, limit=9)
    assert [(e["object"], e["outcome"]) for e in found] == [(f"POST {paths.format(0)}", "refused")]


async def nothing(*_: object) -> Principal:
    """Somebody who is known and may do nothing."""
    return Principal("eve", frozenset())


def test_what_is_too_old_goes(sessions: sessionmaker[Session]) -> None:
    """With the next act, looked at once an hour; entries are in order on each database."""
    now = [0.0]
    journal = Journal(sessions, 1, lambda: now[0])
    old = datetime.now(UTC) - timedelta(days=2)
    with sessions.begin() as session:
        activity.write(session, Entry("a", "old", "x" * 1000, "done"), now=old)
        assert len(activity.page(session, before=None, limit=9)[0]["object"]) == 200
        journal.write(session, Entry("a", "new", "", "done"))
        activity.write(session, Entry("a", "old", "", "done"), now=old)
    journal.apart(Entry("a", "newer", "", "done"))
    with sessions() as session:
        found = activity.page(session, before=None, limit=9)
        assert [e["action"] for e in found] == ["newer", "old", "new"]
        assert [e["action"] for e in activity.page(session, before=found[1]["id"], limit=9)] == [
            "new"
        ]
    now[0] += 3600.0
    journal.apart(Entry("a", "newest", "", "done"))
    with sessions() as session:
        assert "old" not in [e["action"] for e in activity.page(session, before=None, limit=9)]


def test_a_journal_without_a_store_refuses_nobody(sqlite: Engine) -> None:
    """What was refused stays so, and the service goes on."""
    with sqlite.begin() as connection:
        connection.exec_driver_sql("DROP TABLE audit_log")
    journal = Journal(sessionmaker(sqlite), 1)
    journal.refused(Entry("a", "request", "GET /", "refused"))

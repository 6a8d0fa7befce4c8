"""`seedbed keys`: make, list and revoke API keys, in the store itself or through a service.

With --url (or SEEDBED_URL) a command asks that service, as the admin whose key is in SEEDBED_KEY.
Without, it works on the store that SEEDBED_DATABASE_URL or SEEDBED_STATE_FOLDER names: whoever may
write there needs no key, and the service may run meanwhile.
"""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

import contextlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.access.key import NAME, id_of, wrong
from service.access.principal import Scope
from service.cli.connection import REFUSED, USAGE, connected, console, fail, spoken
from service.cli.operate import configured
from service.words import moment

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

keys = typer.Typer(
    help="API keys. With --url or SEEDBED_URL through a service, as the admin of SEEDBED_KEY; "
    "otherwise in the store of SEEDBED_DATABASE_URL or SEEDBED_STATE_FOLDER itself, also while "
    "the service runs.",
    no_args_is_help=True,
)

BOOTSTRAP = "SEEDBED_BOOTSTRAP_KEY"
ByUrl = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="SEEDBED_URL", help="Ask this service; without it, the store itself."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@keys.command()
def create(
    name: Annotated[str, typer.Option("--name", help="What the key is for.")],
    owner: Annotated[str, typer.Option("--owner", help="Whose sweeps are made with it.")],
    scope: Annotated[
        Scope, typer.Option("--scope", help="What it may do: submit reads too, admin does all.")
    ],
    expires: Annotated[
        str | None,
        typer.Option("--expires", help="A day (2027-01-31), or so many days from now (90d)."),
    ] = None,
    *,
    as_json: AsJson = False,
    url: ByUrl = None,
) -> None:
    """Make a key and print it, this once: nothing can show it again."""
    expires_at = _moment(expires)
    if url is not None:
        until = None if expires_at is None else expires_at.isoformat()
        with connected(url) as client:
            made: Mapping[str, Any] = client.make_key(
                name=name, owner=owner, scope=scope.value, expires_at=until
            )
    else:
        made = _create(name, owner, scope, expires_at)
    if as_json:
        typer.echo(json.dumps(made, indent=2))
        return
    typer.echo(made["key"])
    typer.echo(
        f"key {made['id']} of {made['owner']}, scope {made['scope']}; keep it now, it is not shown "
        "again (use it as SEEDBED_KEY)",
        err=True,
    )


@keys.command("list")
def list_keys(*, as_json: AsJson = False, url: ByUrl = None) -> None:
    """List keys without their secrets, revoked ones too."""
    if url is not None:
        with connected(url) as client:
            found = list(client.keys())
    else:
        from service.api.keys import key_json
        from service.store import keys as store

        with _store(writes=False) as session:
            found = [key_json(key) for key in store.page(session, after=None, limit=100_000)]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if not found:
        typer.echo("no keys yet; `seedbed keys create` makes one", err=True)
        return
    _print(found)


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it.")],
    *,
    url: ByUrl = None,
) -> None:
    """Make a key open nothing any more, within seconds; who trains with it goes on."""
    if id_of(key) is not None:
        fail("what was given is a whole key; name it by its id, the part after sb_", USAGE)
    if url is not None:
        with connected(url) as client:
            client.revoke_key(key)
    else:
        from service.store import keys as store

        with _store() as session:
            store.revoke(session, key, now=datetime.now(UTC))
            _note(session, "key_revoked", key)
    typer.echo(f"key {key} is revoked")


@keys.command()
def activity(
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
    principal: Annotated[str | None, typer.Option("--owner", help="Only what they did.")] = None,
    *,
    as_json: AsJson = False,
    url: ByUrl = None,
) -> None:
    """Show who did what, newest first: log-ins, keys, and what was done to sweeps or refused."""
    if url is not None:
        with connected(url) as client:
            found = list(itertools.islice(client.activity(principal), limit))
    else:
        from service.api.activity import act_json
        from service.store import activity as store

        with _store(writes=False) as session:
            rows = store.page(session, before=None, limit=limit, principal=principal)
            found = [act_json(row) for row in rows]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    _table(
        ("when", "who", "key", "did", "to", "outcome", "from"),
        [
            (
                moment(e["at"]),
                e["principal"] or "-",
                e["key"] or "-",
                e["action"],
                e["object"],
                e["outcome"],
                e["address"] or "-",
            )
            for e in found
        ],
    )


@keys.command()
def bootstrap() -> None:
    """Make the admin's key that SEEDBED_BOOTSTRAP_KEY holds, unless it is there; for a first start.

    It works on the store itself, and changes nothing of a key that is there already.
    """
    from argon2 import PasswordHasher
    from argon2.exceptions import VerificationError

    from service.access.key import DRAW, SHAPE
    from service.store import keys as store

    text = os.environ.get(BOOTSTRAP, "").strip()
    if (found := id_of(text)) is None:
        given = "holds no API key" if text else "is not set"
        fail(
            f"{BOOTSTRAP} {given}; it is the key to make, {SHAPE}\nNothing was made.\n"
            f"What to do: draw one with {DRAW}",
            USAGE,
        )
    with _store() as session:
        known = store.find(session, found)
        if known is None:
            store.create(
                session,
                name="bootstrap",
                owner="admin",
                scope=Scope.ADMIN,
                now=datetime.now(UTC),
                hasher=PasswordHasher(),
                text=text,
            )
            _note(session, "key_made", found)
    if known is None:
        typer.echo(f"key {found} of admin is made, scope admin")
        return
    try:
        PasswordHasher().verify(known.hash, text)
    except VerificationError:
        fail(
            f"there is a key {found} with another secret than {BOOTSTRAP} holds; a key is never "
            "changed\nNothing was made.\nWhat to do: draw another key",
            REFUSED,
        )
    state = "is revoked, and stays so" if known.revoked_at else "is there already"
    typer.echo(f"key {found} {state}")


def _create(name: str, owner: str, scope: Scope, expires_at: datetime | None) -> Mapping[str, Any]:
    from argon2 import PasswordHasher

    from service.api.keys import key_json
    from service.store import keys as store

    for option, value in (("--name", name), ("--owner", owner)):
        if re.fullmatch(NAME.removeprefix("^").removesuffix("$"), value) is None:
            fail(
                f"{option} {value!r} is no name; it has 1 to 100 printable characters and no space "
                "at either end\nNo key was made.\nWhat to do: give another",
                USAGE,
            )
    now = datetime.now(UTC)
    refused = wrong(owner, expires_at, now)
    if refused is not None:
        fail(f"{refused[0]}\nNo key was made.\nWhat to do: {refused[1]}", USAGE)
    with _store() as session:
        key, text = store.create(
            session,
            name=name,
            owner=owner,
            scope=scope,
            now=now,
            expires_at=expires_at,
            hasher=PasswordHasher(),
        )
        _note(session, "key_made", key.id)
    return key_json(key) | {"key": text}


def _note(session: "Session", action: str, key: str) -> None:
    """Writes down what was done on the store itself, by nobody who was asked who they are."""
    from service.store.activity import Entry, write

    write(session, Entry("", action, key, "done"), now=datetime.now(UTC))


@contextlib.contextmanager
def _store(*, writes: bool = True) -> Iterator["Session"]:
    """One transaction on the store, at its newest schema."""
    from service.folder import OpenFolderError, prepare
    from service.store.engine import open_engine, reading_factory, session_factory
    from service.store.errors import StoreError

    configuration = configured()
    with spoken(StoreError, OpenFolderError):
        prepare(configuration)
        engine = open_engine(configuration.database_url)
        try:
            _settle(engine, configuration.database_url)
            if writes:
                with session_factory(engine).begin() as session:
                    yield session
            else:
                with reading_factory(engine)() as session:
                    yield session
        finally:
            engine.dispose()


def _settle(engine: "Engine", database_url: str) -> None:
    """Brings a SQLite file that nobody serves to the newest schema; of others it must have it.

    Raises:
        SchemaError, StoreAwayError: the store is not ready.
        StoreOwnedError: a service of another version runs on the SQLite file.
    """
    from service.folder import store_file
    from service.store.engine import check_schema, reading_engine, upgrade
    from service.store.errors import SchemaError
    from service.store.ownership import own

    try:
        check_schema(reading_engine(engine))  # whoever writes is not waited for
    except SchemaError:
        file = store_file(database_url)
        if file is None:
            raise
        with own(file):
            upgrade(engine)


def _moment(expires: str | None) -> datetime | None:
    """The end of a day, or so many days from now."""
    if expires is None:
        return None
    days = re.fullmatch(r"([0-9]{1,5})d", expires)
    if days is not None:
        return datetime.now(UTC) + timedelta(days=int(days[1]))
    try:
        day = datetime.strptime(expires, "%Y-%m-%d")  # noqa: DTZ007 - the zone follows
    except ValueError:
        fail(
            f"--expires {expires!r} is neither a day nor a number of days\nNo key was made.\n"
            "What to do: write 2027-01-31, or 90d",
            USAGE,
        )
    return day.replace(tzinfo=UTC) + timedelta(days=1)


def _print(found: list[Mapping[str, Any]] | list[dict[str, Any]]) -> None:
    _table(
        ("id", "name", "owner", "scope", "state", "last used", "created"),
        [
            (
                key["id"],
                key["name"],
                key["owner"],
                key["scope"],
                _state(key),
                moment(key["last_used_at"]) if key["last_used_at"] else "never",
                moment(key["created_at"]),
            )
            for key in found
        ],
    )


def _table(headings: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, no_wrap=heading not in ("name", "to"))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def _state(key: Mapping[str, Any]) -> str:
    if key["revoked_at"] is not None:
        return "revoked"
    if key["expires_at"] is None:
        return "open"
    ended = datetime.fromisoformat(key["expires_at"]) <= datetime.now(UTC)
    return "expired" if ended else f"open until {moment(key['expires_at'])}"

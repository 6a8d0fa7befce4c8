"""Checks API keys: argon2 once, then from memory for a while; a revoked key is noticed in seconds.

What is remembered of a key is an HMAC of it under a secret of this process, never the key: memory
that leaks opens nothing. That a key fits its stored hash never changes, so it is remembered until
ten minutes after its last use; whether it is revoked or expired is read again every two seconds,
of all keys that are in use by one query.
"""

import hmac
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from service.access.key import SHAPE, id_of
from service.access.login import Attempts, hash_of
from service.access.principal import Principal, held
from service.store import keys, logins
from service.store.keys import Key

#: that a key fits is remembered for so long after its last use
FITS_S = 600.0
#: what the store says of a key is remembered for so long
FRESH_S = 2.0
#: keys that were used of late, and how many of them, are read again with one that is not fresh
RECENT_S, MOST_RECENT = 10.0, 500
#: when a key was used is written down no more often than this
TOUCH_S = 60.0
#: so many wrong secrets of one key from one address in so many seconds; then none for a while
MOST_WRONG, WRONG_S = 10, 60.0
#: keys are remembered of at most so many
MOST = 10_000
_NEW = "an admin makes a new one with `seedbed keys create`"

log = structlog.get_logger()


class BadKeyError(Exception):
    """A key that opens nothing: what is wrong with it, and what to do."""

    def __init__(self, detail: str, cure: str) -> None:
        super().__init__(detail)
        self.detail, self.cure = detail, cure


class ManyWrongError(BadKeyError):
    """A key of which too many wrong secrets came from an address: none is looked at for a while.

    Attributes:
        wait_s: for how long.
    """

    def __init__(self, key: str, wait_s: float) -> None:
        super().__init__(
            f"{MOST_WRONG} wrong secrets of API key {key} came from this address in "
            f"{WRONG_S:g} s, so that none is looked at for a while",
            f"wait {math.ceil(wait_s)} s and send the right key; an admin makes one with "
            "`seedbed keys create`",
        )
        self.wait_s = wait_s


@dataclass(frozen=True)
class _Known:
    key: Key
    used_at: float
    fresh_until: float


class Keyring:
    """Safe to share among threads.

    Args:
        reading, writing: sessions of the store.
        clock: seconds that never go back.
        now: the time that keys expire by.
    """

    def __init__(
        self,
        reading: sessionmaker[Session],
        writing: sessionmaker[Session],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reading = reading
        self._writing = writing
        self._clock = clock
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._wrong = Attempts(clock, MOST_WRONG, WRONG_S)
        self._touched: dict[str, float] = {}
        self._lock = threading.Lock()
        self._verifier = PasswordHasher()  # what a hash costs stands in the hash
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="key-use")

    def fresh(self, text: str) -> Principal | None:
        """Whose key this is, if that is in memory and fresh; takes microseconds, never waits."""
        digest = self._digest(text)
        known = self._recall(digest)
        if known is None or known.fresh_until < self._clock():
            return None
        self._remember(digest, replace(known, used_at=self._clock()))
        return self._principal(known.key)

    def fits(self, text: str) -> bool:
        """Whether checking this key needs no argon2."""
        return id_of(text) is None or self._recall(self._digest(text)) is not None

    def judge(self, text: str, address: str) -> None:
        """Whether a key that is not in memory may be looked at; takes microseconds, never waits.

        Raises:
            ManyWrongError: too many wrong secrets of it came from this address.
        """
        name = id_of(text)
        wait_s = 0.0 if name is None else self._wrong.wait_s(address, name)
        if name is not None and wait_s > 0.0 and not self.fits(text):
            raise ManyWrongError(name, wait_s)

    def find(self, text: str, address: str) -> Principal:
        """Whose key this is; asks the store, and argon2 unless it did before.

        Args:
            text: the key.
            address: where it came from: an address that sent wrong secrets waits, and no other.

        Raises:
            BadKeyError: it is no key, unknown, revoked or expired.
            ManyWrongError: too many wrong secrets of it came from this address.
            SQLAlchemyError: the store does not answer.
        """
        name = id_of(text)
        if name is None:
            raise BadKeyError("what was sent is no API key", f"a key looks like {SHAPE}")
        self.judge(text, address)
        digest = self._digest(text)
        known = self._recall(digest)
        recent, asked_at = self._recent(), self._clock()
        with self._reading() as session:
            found = keys.find_all(session, {name, *(other.key.id for other in recent.values())})
        self._renew(recent, found, asked_at)
        key = found.get(name)
        same = known is not None and key is not None and known.key.hash == key.hash
        if key is None or not (same or self._verify(key.hash, text)):
            self._forget(digest)
            if key is not None:  # made-up ids cost no argon2, and would crowd out what is counted
                self._wrong.failed(address, name)
            raise BadKeyError(
                f"there is no API key {name}, or its secret is another",
                "check the key; an admin makes one with `seedbed keys create`",
            )
        now = self._clock()
        self._remember(digest, _Known(key, now, asked_at + FRESH_S))
        return self._principal(key)

    def by_session(self, session: str) -> Principal:
        """Whose session of the dashboard this is; asks the store.

        Raises:
            BadKeyError: it has ended, or its key is revoked or expired.
            SQLAlchemyError: the store does not answer.
        """
        return self._by_login(hash_of(session))

    def still(self, principal: Principal) -> Principal:
        """Who this is by now whose key, log-in or token was good before; asks the store alone.

        Raises:
            BadKeyError: it opens nothing any more; that it has expired needs no store.
            SQLAlchemyError: the store does not answer.
        """
        if principal.until_s is not None and principal.until_s <= self._now().timestamp():
            raise BadKeyError(
                f"the key, log-in or token of {principal.name} has expired",
                "ask for a new one, or log in again at /login",
            )
        if principal.session:
            return self._by_login(principal.session)
        if principal.key:
            with self._reading() as session:
                key = keys.find(session, principal.key)
            if key is None:
                raise BadKeyError(f"there is no API key {principal.key} any more", _NEW)
            return self._principal(key)
        return principal

    def _by_login(self, hashed: str) -> Principal:
        with self._reading() as reading:
            found = logins.find(reading, hashed)
        if found is None or found.expires_at <= self._now():
            raise BadKeyError("the log-in has ended", "log in again at /login")
        opened, ends_s = self._principal(found.key), found.expires_at.timestamp()
        until_s = ends_s if opened.until_s is None else min(opened.until_s, ends_s)
        return replace(opened, session=hashed, until_s=until_s)

    def _principal(self, key: Key) -> Principal:
        """Of a key whose secret was right.

        Raises:
            BadKeyError: it is revoked or expired.
        """
        now = self._now()
        if key.revoked_at is not None:
            raise BadKeyError(f"API key {key.id} was revoked", _NEW)
        if key.expires_at is not None and key.expires_at <= now:
            raise BadKeyError(f"API key {key.id} expired at {key.expires_at:%Y-%m-%d %H:%M}", _NEW)
        self._touch(key.id, now)
        until_s = None if key.expires_at is None else key.expires_at.timestamp()
        return Principal(key.owner, held(key.scope), key.id, until_s=until_s)

    def _verify(self, stored: str, text: str) -> bool:
        try:
            return self._verifier.verify(stored, text)
        except (VerificationError, InvalidHashError):
            return False

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode("utf-8", "surrogatepass"), "sha256")

    def _recall(self, digest: bytes) -> _Known | None:
        with self._lock:
            known = self._known.get(digest)
            return known if known is not None and known.used_at + FITS_S > self._clock() else None

    def _recent(self) -> dict[bytes, _Known]:
        """What was used of late, the last first."""
        recent, since = dict[bytes, _Known](), self._clock() - RECENT_S
        with self._lock:
            for digest in reversed(self._known):
                known = self._known[digest]
                if known.used_at < since or len(recent) >= MOST_RECENT:
                    break
                recent[digest] = known
        return recent

    def _renew(self, recent: Mapping[bytes, _Known], found: Mapping[str, Key], at: float) -> None:
        """What the store said of keys at that time; one whose hash is another is left as it was."""
        with self._lock:
            for digest, was in recent.items():
                key, known = found.get(was.key.id), self._known.get(digest)
                if key is not None and known is not None and key.hash == known.key.hash:
                    self._known[digest] = _Known(key, known.used_at, at + FRESH_S)

    def _remember(self, digest: bytes, known: _Known) -> None:
        with self._lock:
            self._known[digest] = known
            self._known.move_to_end(digest)
            while len(self._known) > MOST:
                self._known.popitem(last=False)

    def _forget(self, digest: bytes) -> None:
        with self._lock:
            self._known.pop(digest, None)

    def _touch(self, key: str, now: datetime) -> None:
        """Writes down when the key was used, apart: a reader waits for no writer's lock."""
        with self._lock:
            if self._clock() < self._touched.get(key, float("-inf")) + TOUCH_S:
                return
            self._touched[key] = self._clock()
        self._writer.submit(self._write_use, key, now)

    def _write_use(self, key: str, now: datetime) -> None:
        try:
            with self._writing.begin() as session:
                keys.used(session, key, now)
        except SQLAlchemyError as error:
            log.warning("key_use_not_written", key=key, error=type(error).__name__)

    def settle(self) -> None:
        """Waits until every use so far is written down."""
        self._writer.submit(lambda: None).result()

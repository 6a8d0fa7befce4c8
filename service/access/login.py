"""Log-ins of the dashboard: a key opens a session, whose id a cookie carries; both end together.

The id has 256 bits and is kept as a SHA-256 hash: what cannot be guessed needs no costly hash.
"""

import hashlib
import ipaddress
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

#: a session ends so long after its log-in, whatever happens in it
LASTS = timedelta(hours=12)
#: the cookie's name over http, and over https, where browsers hold it to this host and to TLS
COOKIE, SECURE_COOKIE = "seedbed_session", "__Host-seedbed_session"
#: so many failed attempts of one address in so many seconds; then none for a while
MOST_FAILED, WITHIN_S = 10, 300.0
#: addresses are remembered of at most so many
_MOST_ADDRESSES = 10_000


def draw_session() -> str:
    """A new session's id, for the cookie alone."""
    return secrets.token_urlsafe(32)


def hash_of(session: str) -> str:
    """What the store keeps of a session's id."""
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()


def cookie_name(*, secure: bool) -> str:
    """Which cookie carries a session; over https none that was set without it is taken."""
    return SECURE_COOKIE if secure else COOKIE


def session_in(cookies: str, *, secure: bool) -> str | None:
    """The session's id in a Cookie header."""
    wanted = cookie_name(secure=secure)
    for part in cookies.split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted and value:
            return value
    return None


def cookie(session: str, *, secure: bool) -> str:
    """A Set-Cookie header; that of '' takes the cookie away."""
    lasts = int(LASTS.total_seconds()) if session else 0
    parts = [f"{cookie_name(secure=secure)}={session}", "Path=/", f"Max-Age={lasts}"]
    return "; ".join([*parts, "HttpOnly", "SameSite=Lax", *(["Secure"] if secure else [])])


def local_path(wanted: str | None) -> str:
    """Where to go after a log-in: a path of this service; `/` whatever else is asked for."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return "/"
    if not wanted.isascii() or not wanted.isprintable() or "\\" in wanted:
        return "/"  # browsers drop control characters and read \ as /
    parts = urlsplit(wanted)
    return wanted if not parts.scheme and not parts.netloc else "/"


class Attempts:
    """Counts failed log-ins by address, so that nobody tries keys by the thousand.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """For how long this address may not try; 0 where it may."""
        with self._lock:
            failed = self._recent(_network(address))
            return failed[0] + WITHIN_S - self._clock() if len(failed) >= MOST_FAILED else 0.0

    def failed(self, address: str) -> None:
        """An attempt failed."""
        with self._lock:
            name = _network(address)
            failed = self._recent(name)
            failed.append(self._clock())
            self._failed[name] = failed
            self._failed.move_to_end(name)
            while len(self._failed) > _MOST_ADDRESSES:
                self._failed.popitem(last=False)

    def _recent(self, name: str) -> deque[float]:
        found = self._failed.get(name, deque(maxlen=MOST_FAILED))
        while found and found[0] <= self._clock() - WITHIN_S:
            found.popleft()
        return found


def _network(address: str) -> str:
    """An IPv6 client has a whole /64 to come from."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))

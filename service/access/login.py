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
#: addresses, each with one thing that it tried, are remembered of at most so many
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
    """Counts what failed by address, log-ins say, so that nobody tries keys by the thousand.

    Args:
        clock: seconds that never go back.
        most, within_s: so many failed attempts in so long; then none for a while.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        most: int = MOST_FAILED,
        within_s: float = WITHIN_S,
    ) -> None:
        self._clock = clock
        self._most = most
        self._within_s = within_s
        self._failed: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str, what: str = "") -> float:
        """For how long this address may not try, or not this; 0 where it may."""
        with self._lock:
            failed = self._recent((network(address), what))
            many = len(failed) >= self._most
            return failed[0] + self._within_s - self._clock() if many else 0.0

    def failed(self, address: str, what: str = "") -> None:
        """An attempt failed, at this."""
        with self._lock:
            name = network(address), what
            failed = self._recent(name)
            failed.append(self._clock())
            self._failed[name] = failed
            self._failed.move_to_end(name)
            while len(self._failed) > _MOST_ADDRESSES:
                self._failed.popitem(last=False)

    def _recent(self, name: tuple[str, str]) -> deque[float]:
        found = self._failed.get(name, deque(maxlen=self._most))
        while found and found[0] <= self._clock() - self._within_s:
            found.popleft()
        return found


def network(address: str) -> str:
    """Whose addresses are one client's: an IPv6 client has a whole /64 to come from."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:  # as a socket of both kinds names an IPv4 client
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))

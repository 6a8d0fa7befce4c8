"""How a request goes to a service and comes back: as JSON, or as an error that says what to do.

A service that cannot take a request now says so with 429 or 503 and when to come back. Whoever asks
waits so long and asks again: any request after 429, which means that nothing was done; after 503,
where a commit may have been lost on the way, only what may be done twice.
"""

import contextlib
import ipaddress
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from service.client.errors import ReplyLostError, ServiceError, ServiceUnreachableError

Json = dict[str, Any]

API = "/api/v1"
#: requests that the service cannot take are asked again for so long
PATIENCE_S = 30.0
RETRY_AFTER = "Retry-After"
LIMITED, BUSY = httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE


class Wire:
    """Connections to a service.

    Args:
        url: where it listens.
        timeout_s: the longest that one request may wait for its reply.
        key: the API key that is sent; that in SEEDBED_KEY unless given, and '' sends none.
        transport: what carries requests, for tests.
        patience_s: for how long a request is repeated that the service cannot take now; 0: never.
        clock, wait: time.

    Raises:
        ValueError: the URL is none, or the key holds what no header may.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        *,
        key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._patience_s, self._clock, self._wait = patience_s, clock, wait
        self._http = httpx.Client(
            base_url=self.url,
            timeout=timeout_s,
            headers=_credentials(key),
            transport=transport,
            trust_env=not _is_loopback(_host(self.url)),  # no proxy leads to this very machine
        )

    @property
    def headers(self) -> httpx.Headers:
        """Sent with every request."""
        return self._http.headers

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def json(self, method: str, path: str, **options: Any) -> Json:
        """What a route of the API replies.

        Raises:
            ServiceError: it refused, or is no Seedbed.
            ServiceUnreachableError: nothing answers.
        """
        found: Json = self.parsed(self.send(method, path, **options))
        return found

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The reply of a route of the API, which is a success.

        Raises:
            ServiceError: it is none.
            ServiceUnreachableError: nothing answers.
        """
        ends = self._clock() + self._patience_s
        while True:
            reply = self.exchange(method, API + path, **options)
            if reply.is_success:
                return reply
            pause_s = _pause_s(reply)
            if pause_s is None or self._clock() + pause_s > ends:
                raise refusal(reply)
            self._wait(pause_s)

    def exchange(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Whatever is replied at a path.

        Raises:
            ServiceUnreachableError: nothing answers.
        """
        with self._spoken():
            return self._http.request(method, path, **options)

    @contextlib.contextmanager
    def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        read_s: float,
    ) -> Iterator[httpx.Response]:
        """The reply of a route of the API, a success, which is read as it comes.

        Args:
            read_s: it may be silent for so long.

        Raises:
            ServiceError: the service refused; it is not asked again.
            ServiceUnreachableError: nothing answers, or it broke off.
        """
        timeout = httpx.Timeout(self._http.timeout.connect, read=read_s)
        with (
            self._spoken(),
            self._http.stream(
                "GET", API + path, params=params, headers=headers, timeout=timeout
            ) as reply,
        ):
            if not reply.is_success:
                reply.read()
                raise refusal(reply)
            yield reply

    @contextlib.contextmanager
    def _spoken(self) -> Iterator[None]:
        """Turns what goes wrong on the way into errors that say what to do."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise ServiceUnreachableError(self.url, _reason(error)) from error
        except httpx.TransportError as error:
            raise ReplyLostError(self.url, _reason(error)) from error

    def parsed(self, reply: httpx.Response) -> Any:
        """The JSON of a reply.

        Raises:
            ServiceError: it is none.
        """
        try:
            return reply.json()
        except ValueError as error:
            raise self.foreign(reply) from error

    def foreign(self, reply: httpx.Response) -> ServiceError:
        """What to say of a reply that no Seedbed gives."""
        kind = reply.headers.get("content-type", "no content type")
        return ServiceError(
            reply.status_code,
            "The reply is not Seedbed's",
            f"{self.url} answered with {kind}; a Seedbed service answers with JSON",
            "check --url or SEEDBED_URL",
        )


def _host(url: str) -> str:
    wrong = (
        f"{url!r} is no service URL; it begins with http:// or https:// and names a host; "
        "use one such as http://127.0.0.1:8321"
    )
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{wrong} ({error})") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(wrong)
    return parsed.host


def _pause_s(reply: httpx.Response) -> float | None:
    """After how long this may be asked again; None where it may not, or nobody says when."""
    asked = reply.request
    twice = asked.method == "GET" or "Idempotency-Key" in asked.headers
    if reply.status_code != LIMITED and not (reply.status_code == BUSY and twice):
        return None
    said = reply.headers.get(RETRY_AFTER, "")
    return float(said) if said.isascii() and said.isdigit() else None


def _credentials(key: str | None) -> dict[str, str]:
    """What names the caller to the service.

    Raises:
        ValueError: the key holds what no header may.
    """
    sent = (os.environ.get("SEEDBED_KEY", "") if key is None else key).strip()
    if not (sent.isascii() and sent.isprintable()):
        raise ValueError(
            "the API key holds characters that no key has; it is not sent; check SEEDBED_KEY, or "
            "what was given as key"
        )
    return {"Authorization": f"Bearer {sent}"} if sent else {}


def path_of(*parts: str) -> str:
    """A path whose parts cannot reach into another."""
    return "".join("/" + quote(part, safe="") for part in parts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__


def refusal(reply: httpx.Response) -> ServiceError:
    """The service's problem+json, or what can be said without one."""
    try:
        problem = reply.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    return ServiceError(
        reply.status_code,
        str(problem.get("title") or reply.reason_phrase or "The service refused"),
        str(problem.get("detail") or "it gave no reason"),
        str(problem.get("cure") or ""),
        [e for e in problem.get("errors") or [] if isinstance(e, Mapping)],
    )

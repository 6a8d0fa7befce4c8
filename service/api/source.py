"""Where a request comes from and what it carries: known names, no NUL, nothing too long."""

from collections.abc import Collection, Iterable
from urllib.parse import unquote_to_bytes, urlsplit

from service.api.refusal import Refusal

#: of all headers of a request, and of its path with its query
MOST_HEADER_BYTES, MOST_TARGET_BYTES = 16384, 8192
NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def judge_source(headers: dict[str, str], names: Collection[str], own: str | None = None) -> None:
    """Host and Origin must be names that the service answers to, so no other site reaches it.

    Args:
        headers: of the request.
        names: that the service answers to.
        own: the address that the request came in at, if the service answers to that as well: no
            page of another site can have it for its host.

    Raises:
        Refusal: 403, naming the header.
    """
    host = headers.get("host", "")
    asked = _name(f"//{host}")
    if asked is None or not (asked in names or asked == own):
        raise Refusal(
            403,
            f"the Host header is {host!r}; the service answers to {', '.join(sorted(names))} only",
            "use one of these names, or add yours to SEEDBED_ALLOWED_HOSTS and restart it",
        )
    origin = headers.get("origin")
    if origin is not None and (_name(origin) != asked or urlsplit(origin).netloc != host):
        raise Refusal(
            403,
            f"the Origin header is {origin!r}; pages of other sites may not call the service",
            "use the service's own pages, or send no Origin",
        )


def judge_length(headers: Iterable[tuple[bytes, bytes]], path: str, query: bytes) -> None:
    """No client of the service sends as much as it refuses here.

    Raises:
        Refusal: 431 of headers, 414 of a URL.
    """
    size = sum(len(name) + len(value) for name, value in headers)
    if size > MOST_HEADER_BYTES:
        raise Refusal(
            431,
            f"the headers hold {size:,} bytes; a request's hold {MOST_HEADER_BYTES:,} at most",
            "send fewer or shorter ones; cookies of other services count too",
        )
    size = len(path.encode("utf-8", "surrogatepass")) + len(query)
    if size > MOST_TARGET_BYTES:
        raise Refusal(
            414,
            f"the URL holds {size:,} bytes; it may hold {MOST_TARGET_BYTES:,}",
            "send a shorter one; what is long goes into the body",
        )


def judge_target(path: str, query: bytes) -> None:
    """A NUL is in no name, and PostgreSQL refuses to be asked for one.

    Raises:
        Refusal: 404 of a path, 422 of a query.
    """
    rule, cure = "no name or id holds a NUL character", "leave %00 out"
    if "\x00" in path:
        raise Refusal(404, f"there is nothing at {path!r}: {rule}", cure)
    if b"\x00" in unquote_to_bytes(query):
        raise Refusal(422, f"the query is {query.decode('latin-1')!r}: {rule}", cure)


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None

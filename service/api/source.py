"""Where a request comes from and what it carries: known names, no NUL, no credentials."""

from urllib.parse import unquote_to_bytes, urlsplit

from service.api.refusal import Refusal

#: headers that carry what the service would not check
CREDENTIALS = ("authorization", "x-api-key", "api-key")
_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def judge_source(headers: dict[str, str]) -> None:
    """Host and Origin must be names that the service is bound to, so no web page can reach it.

    Raises:
        Refusal: 403, naming the header.
    """
    host = headers.get("host", "")
    if _name(f"//{host}") not in _NAMES:
        raise Refusal(
            403,
            f"the Host header is {host!r}; the service answers to its loopback names only",
            "use http://127.0.0.1 or http://localhost",
        )
    origin = headers.get("origin")
    if origin is not None and (_name(origin) not in _NAMES or urlsplit(origin).netloc != host):
        raise Refusal(
            403,
            f"the Origin header is {origin!r}; pages of other sites may not call the service",
            "use the service's own pages, or send no Origin",
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


def judge_credentials(headers: dict[str, str]) -> None:
    """Who sends a key believes that it is checked.

    Raises:
        Refusal: 501, naming the header.
    """
    for name in CREDENTIALS:
        if name in headers:
            raise Refusal(
                501,
                f"the request carries credentials in its {name} header; API keys are not built "
                "yet, and the service would not check them",
                f"send no {name}; the service answers on loopback only, without keys",
            )


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None

"""Reads a Redis URL before anything connects, and never quotes its password."""

from urllib.parse import parse_qsl, urlsplit

SCHEMES = ("redis", "rediss", "unix")
#: what a query may say: redis-py would hand any other name on to a socket, and fail later
OPTIONS = ("db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
PORT = 6379
_FORM = "redis://:PASSWORD@HOST:6379/0, rediss:// for TLS, or unix:///PATH"


def address_of(url: str) -> str:
    """The server as logs and errors may name it: without user and password.

    Raises:
        ValueError: the URL is none that the bus can use; it is not quoted.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # it quotes what it could not read, which may be a password: no `from`
        raise _wrong("cannot be read as a URL", "percent-encode the password") from None
    if parts.scheme not in SCHEMES:
        raise _wrong("has no scheme that is known", f"begin with one of {', '.join(SCHEMES)}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    foreign = sorted(options.keys() - set(OPTIONS))
    if foreign:
        raise _wrong(f"has the options {foreign}", f"it may have {', '.join(OPTIONS)}")
    if "db" in options and not options["db"].isdecimal():
        raise _wrong("names a database that is no number", "write db=0")
    if parts.fragment:
        raise _wrong("holds a #", "percent-encode the password")
    if parts.scheme == "unix":
        if not parts.path:
            raise _wrong("names no socket", "write unix:///PATH")
        return f"unix://{parts.path}"
    if not parts.hostname:
        raise _wrong("names no host", "write redis://HOST:6379/0")
    number = parts.path.removeprefix("/")
    if number and not number.isdecimal():
        raise _wrong("names a database that is no number", "write redis://HOST:6379/0")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or PORT}"


def _wrong(what: str, cure: str) -> ValueError:
    return ValueError(f"SEEDBED_REDIS_URL {what}; it is {_FORM}; {cure}")

"""A Redis URL is judged before anything connects, and no message quotes its password."""

import pytest

from service.bus.address import address_of


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("redis://cache", "redis://cache:6379"),
        ("redis://:secret@cache:6380/2", "redis://cache:6380"),
        ("rediss://me:secret@[::1]/0?ssl_ca_certs=/ca.pem", "rediss://[::1]:6379"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("unix://:secret@/run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_a_server_is_named_without_its_password(url: str, named: str) -> None:
    assert address_of(url) == named


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("cache:6379", "no scheme that is known"),
        ("http://:secret@cache", "no scheme that is known"),
        ("redis://", "names no host"),
        ("unix://:secret@", "names no socket"),
        ("redis://:secret@cache/first", "a database that is no number"),
        ("redis://:secret@cache?db=first", "a database that is no number"),
        ("redis://:secret@cache?timeout=1", r"has the options \['timeout'\]"),
        ("redis://:secret/more@cache:6379", "cannot be read as a URL"),
        ("redis://:secret#more@cache:6379", "cannot be read as a URL"),
        ("redis://cache:port", "cannot be read as a URL"),
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str, why: str) -> None:
    """Redis's client would take some of these and connect elsewhere."""
    with pytest.raises(ValueError, match=why) as refused:
        address_of(url)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert "SEEDBED_REDIS_URL" in str(refused.value)

"""OIDC: bearer tokens that an issuer signed, for those who log in elsewhere.

Only RS256 and ES256, by keys that the issuer publishes: never `none`, never HS256, where a public
key would be the secret. Issuer, audience, expiry and subject must be there and right.
"""

import contextlib
import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

import jwt
from jwt import PyJWKClient
from jwt.exceptions import (
    ExpiredSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    PyJWKClientConnectionError,
    PyJWKClientError,
    PyJWTError,
)

from service.access.key import ME, NAME
from service.access.keyring import BadKeyError
from service.access.principal import Principal, Scope, held

ALGORITHMS = ("RS256", "ES256")
#: clocks of issuer and service may differ by so much
LEEWAY_S = 30
#: an issuer that does not answer by then is away, and is not asked again for a while
TIMEOUT_S, AGAIN_S = 5.0, 10.0
#: the issuer's keys are good for so long
KEYS_S = 600.0
_WELL_KNOWN = "/.well-known/openid-configuration"
_MOST_BYTES = 1 << 20
_LONGEST = 8192
_LAST_S = 253_402_300_799  # the year 9999 ends
_CURE = "ask the issuer for a new token, meant for this service"
_NAME = NAME.removeprefix("^").removesuffix("$")


class BadTokenError(BadKeyError):
    """A token that opens nothing here."""


class IssuerAwayError(Exception):
    """The issuer's keys cannot be had now, so that nobody can say whether a token is good."""


class Tokens:
    """Checks tokens of one issuer; safe to share among threads.

    A token whose key is known waits for nobody, neither for the issuer nor for whoever asks it.

    Args:
        issuer: as its tokens name it; its discovery document says where its keys are.
        audience: that tokens must be meant for.
        scopes_claim: the claim that says what a caller may do, or what groups they are in.
        scopes: of that claim's values -> the scope that they stand for.
        name_claim: the claim that is the caller's name, and so the owner of their sweeps.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        scopes_claim: str,
        scopes: Mapping[str, Scope],
        name_claim: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._scopes_claim = scopes_claim
        self._scopes = dict(scopes)
        self._name_claim = name_claim
        self._clock = clock
        self._asking = threading.Lock()  # one asks the issuer, and the others have its answer
        self._keys: PyJWKClient | None = None
        self._away_until = float("-inf")

    def known(self, token: str) -> Principal | None:
        """Whose token this is, without a word to the issuer; None where its key is not known.

        Raises:
            BadTokenError: it is not good here.
        """
        with _judging():
            key = self._known(_kid(token))
            return None if key is None else self._opened(token, key)

    def find(self, token: str) -> Principal:
        """Whose token this is; asks the issuer for its keys where they are not known.

        Raises:
            BadTokenError: it is not good here.
            IssuerAwayError: the issuer does not answer.
        """
        with _judging():
            return self._opened(token, self._key(_kid(token)))

    def _opened(self, token: str, key: jwt.PyJWK) -> Principal:
        claims = jwt.decode(
            token,
            key,
            algorithms=list(ALGORITHMS),
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return self._principal(claims)

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        name = claims.get(self._name_claim)
        if not isinstance(name, str) or name == ME or re.fullmatch(_NAME, name) is None:
            raise BadTokenError(
                f"claim {self._name_claim!r} of the token is no name",
                "set SEEDBED_OIDC_NAME_CLAIM to a claim that the issuer gives everybody",
            )
        given = claims.get(self._scopes_claim, ())
        values = given.split() if isinstance(given, str) else given
        listed = values if isinstance(values, list | tuple) else ()
        known = [self._scopes[v] for v in listed if isinstance(v, str) and v in self._scopes]
        scopes = frozenset().union(*(held(scope) for scope in known))
        until_s = min(int(claims["exp"]), _LAST_S) + LEEWAY_S
        return Principal(name, scopes, until_s=float(until_s))

    def _known(self, kid: str) -> jwt.PyJWK | None:
        """A key that the issuer published not long ago."""
        cache = None if self._keys is None else self._keys.jwk_set_cache
        published = None if cache is None else cache.get()
        if published is None:
            return None
        signing = [k for k in published.keys if k.public_key_use in ("sig", None) and k.key_id]
        return PyJWKClient.match_kid(signing, kid)

    def _key(self, kid: str) -> jwt.PyJWK:
        known = self._known(kid)
        if known is not None:
            return known
        with self._asking:
            known = self._known(kid)
            if known is not None:
                return known
            if self._clock() < self._away_until:
                raise IssuerAwayError(f"{self._issuer} did not answer a moment ago")
            try:
                if self._keys is None:
                    self._keys = PyJWKClient(self._discovered(), lifespan=KEYS_S, timeout=TIMEOUT_S)
                return self._keys.get_signing_key(kid)
            except (PyJWKClientConnectionError, HTTPException, OSError, ValueError) as error:
                self._away_until = self._clock() + AGAIN_S
                raise IssuerAwayError(f"{self._issuer} does not answer: {error}") from error
            except PyJWKClientError as error:
                raise BadTokenError(
                    f"the issuer has no key {kid[:60]!r} that signs",
                    "ask the issuer for a new token",
                ) from error

    def _discovered(self) -> str:
        """Where the issuer's keys are.

        Raises:
            OSError: it does not answer.
            HTTPException: it breaks off, or speaks no HTTP.
            ValueError: it answers something else.
        """
        url = self._issuer.rstrip("/") + _WELL_KNOWN
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:  # noqa: S310 - checked in the configuration
                found = json.loads(reply.read(_MOST_BYTES))
        except URLError as error:
            raise OSError(str(error.reason)) from error
        if not isinstance(found, dict) or found.get("issuer") != self._issuer:
            raise ValueError(f"{url} is the description of another issuer")
        keys = found.get("jwks_uri")
        if not isinstance(keys, str) or urlsplit(keys).scheme not in ("http", "https"):
            raise ValueError(f"{url} does not say where the keys are")
        return keys


def _kid(token: str) -> str:
    """The key that a token says it is signed with, by an algorithm that is taken."""
    if len(token) > _LONGEST:
        raise BadTokenError(f"the token has more than {_LONGEST} characters", _CURE)
    header = jwt.get_unverified_header(token)
    if header.get("alg") not in ALGORITHMS:
        raise BadTokenError(
            f"the token is signed by {str(header.get('alg'))[:20]!r}; the service takes "
            f"{' and '.join(ALGORITHMS)} only",
            _CURE,
        )
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise BadTokenError("the token does not name its key (kid)", _CURE)
    return kid


@contextlib.contextmanager
def _judging() -> Iterator[None]:
    """One kind of error for whatever is wrong with a token."""
    try:
        yield
    except ExpiredSignatureError as error:
        raise BadTokenError("the token has expired", _CURE) from error
    except (InvalidAudienceError, InvalidIssuerError) as error:
        raise BadTokenError(f"the token is not for this service ({error})", _CURE) from error
    except PyJWTError as error:
        raise BadTokenError(f"the token is not good: {error}", _CURE) from error

"""Lets nobody through whom it does not know, before a body is read: who asks, and may they?

Every request comes through here, whatever route it is for, or none. With SEEDBED_AUTH=none nobody
is asked, and who sends a key is refused, since it would not be checked.
"""

import anyio
import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.access.keyring import BadKeyError, Keyring
from service.access.principal import ANYBODY, STRANGER, Principal
from service.access.principal import Scope as Allowed
from service.api.access import ACCESS, Access, Accesses
from service.api.identity import PRINCIPAL
from service.api.refusal import Refusal, Scope

#: headers that carry what the service would not check
ELSEWHERE = ("x-api-key", "api-key", "proxy-authorization")
CREDENTIALS = ("authorization", *ELSEWHERE)
#: so many keys are checked by argon2 at once: each takes 64 MiB and tens of milliseconds
AT_ONCE = 2
_REALM = 'Bearer realm="seedbed"'
_HOW = "send `Authorization: Bearer KEY`; the client and the command take it from SEEDBED_KEY"

log = structlog.get_logger()


class Guard:
    """Knows the routes' table and, where keys are on, the keys.

    Args:
        accesses: what each route asks.
        keyring: what checks keys; None where nobody is asked.
    """

    def __init__(self, accesses: Accesses, keyring: Keyring | None) -> None:
        self._accesses = accesses
        self._keyring = keyring
        self._slow: anyio.CapacityLimiter | None = None

    async def admit(self, scope: Scope, headers: dict[str, str]) -> None:
        """Lets a request in, with who asks and what its route asks in its scope.

        Raises:
            Refusal: 400, 401, 403 or 503.
        """
        access = self._accesses.find(scope["method"], scope["path"])
        principal = await self._who(scope, headers, access)
        if access.scope is not None and access.scope not in principal.scopes:
            raise _forbidden(principal, access.scope, scope)
        scope[ACCESS], scope[PRINCIPAL] = access, principal

    async def _who(self, scope: Scope, headers: dict[str, str], access: Access) -> Principal:
        if self._keyring is None:
            _refuse_credentials(headers)
            return ANYBODY
        if access.scope is None:
            return STRANGER
        token = _token(scope, headers)
        try:
            return await self._checked(self._keyring, token)
        except BadKeyError as error:
            log.warning("key_refused", client=_client(scope), why=error.detail)
            raise Refusal(
                401, error.detail, error.cure, www_authenticate=f'{_REALM}, error="invalid_token"'
            ) from error
        except SQLAlchemyError as error:
            log.error("keys_not_read", error=type(error).__name__)  # noqa: TRY400 - its text may tell much
            raise Refusal(
                503,
                "the store does not answer, so that keys cannot be checked",
                "ask again in a moment; see /readyz",
                retry_after="1",
            ) from error

    async def _checked(self, keyring: Keyring, token: str) -> Principal:
        known = keyring.fresh(token)
        if known is not None:
            return known
        if keyring.fits(token):
            return await anyio.to_thread.run_sync(keyring.find, token)
        if self._slow is None:
            self._slow = anyio.CapacityLimiter(AT_ONCE)
        return await anyio.to_thread.run_sync(keyring.find, token, limiter=self._slow)


def _token(scope: Scope, headers: dict[str, str]) -> str:
    """What stands behind Bearer.

    Raises:
        Refusal: 401, there is none; 400, there are two.
    """
    for name in ELSEWHERE:
        if name in headers:
            raise Refusal(400, f"the request carries a {name} header, which nobody reads", _HOW)
    given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    if not given:
        raise Refusal(
            401,
            f"{scope['method']} {scope['path']} needs an API key, and the request has none",
            f"{_HOW}; an admin makes one with `seedbed keys create`",
            www_authenticate=_REALM,
        )
    if len(given) > 1:
        raise Refusal(400, "the request has two Authorization headers", "send one")
    scheme, _, token = headers["authorization"].partition(" ")
    if scheme.lower() != "bearer":
        raise Refusal(
            401,
            f"the Authorization header is of scheme {scheme[:20]!r}; the service takes Bearer only",
            _HOW,
            www_authenticate=_REALM,
        )
    return token.strip()


def _refuse_credentials(headers: dict[str, str]) -> None:
    """Who sends a key believes that it is checked.

    Raises:
        Refusal: 400, naming the header.
    """
    for name in CREDENTIALS:
        if name in headers:
            raise Refusal(
                400,
                f"the request carries credentials in its {name} header, and this service runs "
                "without keys (SEEDBED_AUTH=none): it would not check them",
                f"send no {name} (unset SEEDBED_KEY), or start the service with SEEDBED_AUTH=keys",
            )


def _forbidden(principal: Principal, needed: Allowed, scope: Scope) -> Refusal:
    log.warning(
        "request_forbidden",
        principal=principal.name,
        key=principal.key,
        method=scope["method"],
        path=scope["path"],
        needs=needed.value,
    )
    has = ", ".join(s.value for s in Allowed if s in principal.scopes) or "none"
    return Refusal(
        403,
        f"{scope['method']} {scope['path']} needs scope {needed.value}; {principal.name} has {has}",
        f"ask an admin for a key of scope {needed.value} (`seedbed keys create`)",
        www_authenticate=f'{_REALM}, error="insufficient_scope", scope="{needed.value}"',
    )


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"

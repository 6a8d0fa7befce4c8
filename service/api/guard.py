"""Lets nobody through whom it does not know, before a body is read: who asks, and may they?

Every request comes through here, whatever route it is for, or none. With SEEDBED_AUTH=none nobody
is asked, and who sends a key is refused, since it would not be checked.
"""

import math
import time

import anyio.to_thread
import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.access.keyring import BadKeyError, ManyWrongError
from service.access.login import local_path, network, session_in
from service.access.oidc import AGAIN_S, IssuerAwayError
from service.access.principal import ANYBODY, STRANGER, Principal
from service.access.principal import Scope as Allowed
from service.api.access import ACCESS, Access, Accesses
from service.api.door import Door
from service.api.identity import PRINCIPAL
from service.api.journal import Journal, entry_of
from service.api.limits import count_refused
from service.api.refusal import Refusal, Scope
from service.api.room import lent
from service.api.seldom import Seldom
from service.bus.limits import Limits
from service.dashboard.render import text

#: headers that carry what the service would not check
ELSEWHERE = ("x-api-key", "api-key", "proxy-authorization")
CREDENTIALS = ("authorization", *ELSEWHERE)
#: a caller's refused keys leave one line of the log in so long
REFUSED_EVERY_S = 10.0
_REALM = 'Bearer realm="seedbed"'
_HOW = "send `Authorization: Bearer KEY`; the client and the command take it from SEEDBED_KEY"

log = structlog.get_logger()


class Guard:
    """Knows the routes' table and, where keys are on, what checks them.

    Args:
        accesses: what each route asks.
        door: what checks keys and sessions; None where nobody is asked.
        journal: where it is written down that somebody wanted more than they may.
        limits: what counts whom it refuses; None where there is no limit.
    """

    def __init__(
        self,
        accesses: Accesses,
        door: Door | None,
        journal: Journal,
        limits: Limits | None = None,
    ) -> None:
        self._accesses = accesses
        self._door = door
        self._journal = journal
        self._limits = limits
        self._refused = Seldom(REFUSED_EVERY_S, time.monotonic)

    async def admit(self, scope: Scope, headers: dict[str, str]) -> None:
        """Lets a request in, with who asks and what its route asks in its scope.

        Raises:
            Refusal: 400, 401, 403, 429 or 503.
        """
        access = self._accesses.find(scope["method"], scope["path"])
        try:
            principal = await self._who(scope, headers, access)
        except Refusal:
            await count_refused(self._limits, scope, STRANGER)
            raise
        if access.scope is not None and access.scope not in principal.scopes:
            await count_refused(self._limits, scope, principal)
            await self._note(principal, access, scope)
            raise _forbidden(principal, access.scope, scope)
        scope[ACCESS], scope[PRINCIPAL] = access, principal

    async def _who(self, scope: Scope, headers: dict[str, str], access: Access) -> Principal:
        if self._door is None:
            _refuse_credentials(headers)
            return ANYBODY
        if access.scope is None:
            return STRANGER
        try:
            session = session_in(headers.get("cookie", ""), secure=scope["scheme"] == "https")
            if session is not None and not any(name in headers for name in CREDENTIALS):
                _judge_form(scope["method"], headers)
                return await self._door.by_session(session)
            token = _token(scope, headers)
            return await self._door.by_bearer(token, _client(scope), lent(scope))
        except BadKeyError as error:
            self._say_refused(_client(scope), error)
            if isinstance(error, ManyWrongError):
                wait_s = str(math.ceil(error.wait_s))
                raise Refusal(429, error.detail, error.cure, retry_after=wait_s) from error
            raise _unknown(
                scope, headers, error.detail, error.cure, ', error="invalid_token"'
            ) from error
        except IssuerAwayError as error:
            log.warning("issuer_away", error=str(error))
            raise Refusal(
                503,
                "the issuer of the token does not answer, so that the token cannot be checked",
                "ask again in a moment, or send an API key",
                retry_after=str(int(AGAIN_S)),
            ) from error
        except SQLAlchemyError as error:
            log.error("keys_not_read", error=type(error).__name__)  # noqa: TRY400 - its text may tell much
            raise Refusal(
                503,
                "the store does not answer, so that keys cannot be checked",
                "ask again in a moment; see /readyz",
                retry_after="1",
            ) from error

    def _say_refused(self, client: str, error: BadKeyError) -> None:
        left_out = self._refused.due(network(client))
        if left_out is not None:
            log.warning("key_refused", client=client, why=error.detail, left_out=left_out)

    async def _note(self, principal: Principal, access: Access, scope: Scope) -> None:
        log.warning(
            "request_forbidden",
            principal=principal.name,
            key=principal.key,
            method=scope["method"],
            path=scope["path"],
        )
        where = f"{scope['method']} {scope['path']}"
        entry = entry_of(scope, principal, access.act or "request", where, "refused")
        route = self._accesses.route(scope["method"], scope["path"])
        await anyio.to_thread.run_sync(self._journal.refused, entry, route)


def _judge_form(method: str, headers: dict[str, str]) -> None:
    """A browser sends a session's cookie by itself: what changes something says where it is from.

    That an Origin is the service's own was judged before.

    Raises:
        Refusal: 403, it has none.
    """
    if method not in ("GET", "HEAD") and "origin" not in headers:
        raise Refusal(
            403,
            "the request comes with a log-in's cookie and without an Origin header; a page of "
            "another site could have sent it",
            "send the API key instead (Authorization: Bearer KEY), or use the service's own pages",
        )


def _unknown(
    scope: Scope, headers: dict[str, str], detail: str, cure: str, more: str = ""
) -> Refusal:
    """Of whom nobody knows; a person who looks at a page is asked to log in."""
    path: str = scope["path"]
    refusal = Refusal(401, detail, cure, www_authenticate=_REALM + more)
    page = not path.startswith(("/api/", "/fragments/")) and path != "/metrics"
    if page and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
        query = scope["query_string"].decode("latin-1")
        wanted = local_path(path + (f"?{query}" if query else ""))
        problem = detail if "cookie" in headers and more else None
        refusal.page = text("login.html", wanted=wanted, problem=problem, who=STRANGER)
    return refusal


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
        raise _unknown(
            scope,
            headers,
            f"{scope['method']} {scope['path']} needs an API key, and the request has none",
            f"{_HOW}; an admin makes one with `seedbed keys create`",
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

"""Checks keys for the event loop: from memory at once, else in a thread, a few by argon2."""

from contextlib import AbstractAsyncContextManager

import anyio
import anyio.to_thread

from service.access.keyring import Keyring
from service.access.oidc import Tokens
from service.access.principal import Principal

#: so many keys are checked by argon2 at once: each takes 64 MiB and tens of milliseconds
AT_ONCE = 2
#: a token has three parts, and a key no dot
_DOTS = 2


class Door:
    """What a request's credentials open; of one event loop.

    Args:
        keyring: what checks keys.
        tokens: what checks tokens of an issuer, if one is trusted.
    """

    def __init__(self, keyring: Keyring, tokens: Tokens | None = None) -> None:
        self._keyring = keyring
        self._tokens = tokens
        self._slow: anyio.CapacityLimiter | None = None
        self._abroad: anyio.CapacityLimiter | None = None  # an issuer that is slow holds up few
        self._again: anyio.CapacityLimiter | None = None  # and so do streams that are open

    async def by_key(self, text: str, address: str) -> Principal:
        """Whose key this is that came from an address.

        Raises:
            BadKeyError: it opens nothing.
            ManyWrongError: it was not looked at.
            SQLAlchemyError: the store does not answer.
        """
        known = self._keyring.fresh(text)
        if known is not None:
            return known
        if self._keyring.fits(text):
            return await anyio.to_thread.run_sync(self._keyring.find, text, address)
        self._keyring.judge(text, address)  # before it stands in a line for argon2
        if self._slow is None:
            self._slow = anyio.CapacityLimiter(AT_ONCE)
        return await anyio.to_thread.run_sync(self._keyring.find, text, address, limiter=self._slow)

    async def by_bearer(
        self, text: str, address: str, asking: AbstractAsyncContextManager[None]
    ) -> Principal:
        """Whose key, or whose token of the issuer, this is.

        Args:
            text: the key or token.
            address: where it came from.
            asking: entered while the issuer is asked, or waited for.

        Raises:
            BadKeyError: it opens nothing.
            ManyWrongError: it was not looked at.
            IssuerAwayError: it is a token, and the issuer does not answer.
            SQLAlchemyError: the store does not answer.
        """
        if self._tokens is not None and text.count(".") == _DOTS:
            known = await anyio.to_thread.run_sync(self._tokens.known, text)
            if known is not None:
                return known
            if self._abroad is None:
                self._abroad = anyio.CapacityLimiter(AT_ONCE)
            async with asking:
                return await anyio.to_thread.run_sync(self._tokens.find, text, limiter=self._abroad)
        return await self.by_key(text, address)

    async def by_session(self, session: str) -> Principal:
        """Whose session of the dashboard this is.

        Raises:
            BadKeyError: it has ended, or its key opens nothing any more.
            SQLAlchemyError: the store does not answer.
        """
        return await anyio.to_thread.run_sync(self._keyring.by_session, session)

    async def still(self, principal: Principal) -> Principal:
        """Who this is by now whom a key, session or token opened before; never by argon2.

        Raises:
            BadKeyError: it opens nothing any more.
            SQLAlchemyError: the store does not answer.
        """
        if self._again is None:
            self._again = anyio.CapacityLimiter(AT_ONCE)
        return await anyio.to_thread.run_sync(self._keyring.still, principal, limiter=self._again)

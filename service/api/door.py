"""Checks keys for the event loop: from memory at once, else in a thread, a few by argon2."""

import anyio
import anyio.to_thread

from service.access.keyring import Keyring
from service.access.principal import Principal

#: so many keys are checked by argon2 at once: each takes 64 MiB and tens of milliseconds
AT_ONCE = 2


class Door:
    """What a request's credentials open; of one event loop.

    Args:
        keyring: what checks keys.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._slow: anyio.CapacityLimiter | None = None

    async def by_key(self, text: str) -> Principal:
        """Whose key this is.

        Raises:
            BadKeyError: it opens nothing.
            SQLAlchemyError: the store does not answer.
        """
        known = self._keyring.fresh(text)
        if known is not None:
            return known
        if self._keyring.fits(text):
            return await anyio.to_thread.run_sync(self._keyring.find, text)
        if self._slow is None:
            self._slow = anyio.CapacityLimiter(AT_ONCE)
        return await anyio.to_thread.run_sync(self._keyring.find, text, limiter=self._slow)

    async def by_session(self, session: str) -> Principal:
        """Whose session of the dashboard this is.

        Raises:
            BadKeyError: it has ended, or its key opens nothing any more.
            SQLAlchemyError: the store does not answer.
        """
        return await anyio.to_thread.run_sync(self._keyring.by_session, session)

"""Limits that all API processes keep together, in Redis; while it is away each keeps its own."""

import asyncio
import hashlib

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.bus.limits import WINDOW_S, LocalLimits, Rate, Verdict, verdict
from service.bus.link import Link
from service.bus.redis import PREFIX

#: a request waits for Redis no longer than this
TIMEOUT_S = 1.0
#: more than there are rooms for requests
CONNECTIONS = 32
#: `taken` in one step, by the server's own clock; moments in seconds, the answer in microseconds
_SCRIPT = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local interval, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local begun = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local after = begun + interval
if after - now > window * (1 + 1e-9) then
  return {0, math.floor((begun - now) * 1000000)}
end
redis.call('SET', KEYS[1], string.format('%.6f', after), 'PX', math.ceil((after - now) * 1000))
return {1, math.floor((after - now) * 1000000)}
"""


class SharedLimits:
    """Limits through Redis; `close` it.

    Args:
        rate: what each caller may.
        url: of the server.
        link: whether it answers, as the process's bus knows.
    """

    def __init__(self, rate: Rate, url: str, link: Link) -> None:
        self.rate = rate
        self._link = link
        self._alone = LocalLimits(rate)
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # once: a connection that was kept may be stale
            protocol=2,
        )
        self._client = Redis.from_pool(pool)
        self._script = self._client.register_script(_SCRIPT)

    async def take(self, caller: str) -> Verdict:
        """Counts one, if it is allowed."""
        if not self._link.up:
            return await self._alone.take(caller)
        name = hashlib.sha256(caller.encode()).hexdigest()[:32]
        try:
            async with asyncio.timeout(1.5 * TIMEOUT_S):  # names that do not resolve, too
                allowed, ahead_us = await self._script(
                    keys=[f"{PREFIX}limit:{name}"], args=[self.rate.interval_s, WINDOW_S]
                )
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            self._link.lost(error)
            return await self._alone.take(caller)
        return verdict(self.rate, allowed=bool(allowed), ahead_s=int(ahead_us) / 1e6)

    async def close(self) -> None:
        """Lets go of connections."""
        await self._client.aclose()

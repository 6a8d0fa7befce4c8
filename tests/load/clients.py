"""Clients that read, look at pages, follow events and submit, each at its own pace."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.load.seen import LIMITED, RETRY_AFTER, Seen
from tests.service.samples import spec

API = "/api/v1"
#: a client waits for an answer so long at most; what takes longer is a broken connection here
PATIENCE_S = 60.0
_READ = frozenset({200})
#: of a sweep that another client deletes or steers meanwhile
_STEERED = frozenset({200, 404, 409})
#: a follower reads a stream so long
FOLLOW_S = 5.0
#: how much faster a greedy client asks
HASTE = 30


@dataclass
class Known:
    """What clients know of the service, together.

    Attributes:
        sweeps: ids that were there.
        keys: each client sends the next, and begins again after the last; none where the service
            asks for none.
    """

    sweeps: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Load:
    """How hard clients press.

    Attributes:
        clients: at once.
        seconds: from the first request to the last.
        think_s: mean pause of a client between an answer and its next request.
        greedy: so many more ask `HASTE` times as often, and do not wait when they are told to.
    """

    clients: int
    seconds: float
    think_s: float
    greedy: int = 0


class _Client:
    def __init__(
        self, http: httpx.AsyncClient, known: Known, seen: Seen, seed: int, *, greedy: bool = False
    ) -> None:
        self.http, self.known, self.seen, self.greedy = http, known, seen, greedy
        self.dice = random.Random(seed)
        self.trial: int | None = None

    async def go(self, load: Load) -> None:
        """Asks until the time is up."""
        ends = time.monotonic() + load.seconds
        pause_s = load.think_s / HASTE if self.greedy else load.think_s
        await asyncio.sleep(self.dice.random() * load.think_s)  # not all in the same moment
        while time.monotonic() < ends:
            name = self.dice.choices(list(ASKS), [share for share, _ in ASKS.values()])[0]
            await (_trials if self.greedy else ASKS[name][1])(self)
            await asyncio.sleep(self.dice.expovariate(1 / pause_s) if pause_s else 0)

    def sweep(self) -> str:
        return self.dice.choice(self.known.sweeps)

    async def ask(
        self,
        route: str,
        *,
        expected: frozenset[int] = _READ,
        method: str = "GET",
        **options: Any,
    ) -> httpx.Response | None:
        """One request; None where the connection broke, or there were too many."""
        path = route.format(sweep=options.pop("sweep", ""), trial=options.pop("trial", ""))
        began = time.perf_counter()
        try:
            reply = await self.http.request(method, path, **options)
        except httpx.HTTPError as error:
            self.seen.dropped[f"{method} {route}: {type(error).__name__} {error}"] += 1
            return None
        seconds = time.perf_counter() - began
        self.seen.answered(f"{method} {route}", reply.status_code, seconds, expected, reply.text)
        return await self.settle(reply)

    async def settle(self, reply: httpx.Response) -> httpx.Response | None:
        """The reply, or None after the pause that it asks for."""
        if reply.status_code != LIMITED:
            self.seen.granted_greedy += self.greedy
            return reply
        if RETRY_AFTER not in reply.headers:
            self.seen.limited_without_retry += 1
        if self.greedy:
            self.seen.limited_greedy += 1
        else:
            await asyncio.sleep(float(reply.headers.get(RETRY_AFTER, 1)))
        return None


Ask = Callable[[_Client], Awaitable[object]]


def _read(route: str) -> Ask:
    return lambda client: client.ask(route, sweep=client.sweep())


async def _trials(client: _Client) -> None:
    sweep, limit = client.sweep(), {"limit": 100}
    reply = await client.ask(f"{API}/sweeps/{{sweep}}/trials", sweep=sweep, params=limit)
    if reply is not None and reply.is_success and (items := reply.json()["items"]):
        client.trial = client.dice.choice(items)["id"]


async def _trial(client: _Client) -> None:
    if client.trial is None:
        await _trials(client)
    else:
        await client.ask(f"{API}/trials/{{trial}}", trial=client.trial)


async def _submit(client: _Client) -> None:
    body = spec(
        name="under load", grid={}, seeds=2, cohort=1, root=None, budget={"steps": 100},
    )  # fmt: skip
    headers = {"Idempotency-Key": f"{client.dice.getrandbits(64):x}"}
    reply = await client.ask(
        f"{API}/sweeps", method="POST", json=body, headers=headers, expected=frozenset({201})
    )
    if reply is not None and reply.is_success:
        client.known.sweeps.append(reply.json()["id"])
        client.seen.made += 1


async def _steer(client: _Client) -> None:
    what = client.dice.choice(["pause", "resume"])
    route = f"{API}/sweeps/{{sweep}}/{what}"
    await client.ask(route, method="POST", sweep=client.sweep(), json={}, expected=_STEERED)


async def _follow(client: _Client) -> None:
    route, began = f"{API}/sweeps/{{sweep}}/events", time.perf_counter()
    try:
        async with client.http.stream("GET", route.format(sweep=client.sweep())) as reply:
            if reply.status_code == LIMITED:
                await client.settle(reply)
                return
            first = None
            async with asyncio.timeout(FOLLOW_S):
                async for line in reply.aiter_lines():
                    first = first or time.perf_counter() - began
                    client.seen.events += line.startswith("event:")
    except TimeoutError:
        pass  # it goes on as long as its sweep does; this client has seen enough
    except httpx.HTTPError as error:
        client.seen.dropped[f"GET {route}: {type(error).__name__} {error}"] += 1
        return
    if first is not None:
        client.seen.answered(f"GET {route}", reply.status_code, first, _READ, "")


#: what a client may ask -> how often, and how
ASKS: Mapping[str, tuple[float, Ask]] = {
    "list": (15, lambda client: client.ask(f"{API}/sweeps", params={"limit": 20})),
    "sweep": (12, _read(f"{API}/sweeps/{{sweep}}")),
    "progress": (20, _read(f"{API}/sweeps/{{sweep}}/progress")),
    "trials": (10, _trials),
    "trial": (6, _trial),
    "report": (3, _read(f"{API}/sweeps/{{sweep}}/report")),
    "page of sweeps": (5, lambda client: client.ask("/")),
    "page of a sweep": (8, _read("/sweeps/{sweep}")),
    "refreshed page": (8, _read("/fragments/sweeps/{sweep}")),
    "events": (6, _follow),
    "experiments": (2, lambda client: client.ask(f"{API}/experiments")),
    "submit": (2, _submit),
    "steer": (2, _steer),
    "probe": (1, lambda client: client.ask("/readyz", expected=frozenset({200, 503}))),
}


async def drive(url: str, known: Known, load: Load, seed: int = 1) -> Seen:
    """All clients, each with a connection of its own that it keeps."""
    seen = Seen()
    # one for all: reading the certificates again for each would hold up this loop for seconds,
    # and be taken for the service's
    trust = httpx.create_ssl_context()
    async with contextlib.AsyncExitStack() as ending:
        clients = []
        for number in range(load.clients + load.greedy):
            headers = {}
            if known.keys:
                headers["Authorization"] = f"Bearer {known.keys[number % len(known.keys)]}"
            http = httpx.AsyncClient(
                base_url=url, timeout=PATIENCE_S, headers=headers, verify=trust
            )
            await ending.enter_async_context(http)
            greedy = number >= load.clients
            clients.append(_Client(http, known, seen, seed * 100_003 + number, greedy=greedy))
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.go(load))
    return seen

"""A few clients at once: every answer is a good one, and no connection breaks."""

import asyncio
import time
from pathlib import Path

from sqlalchemy import Engine

from service.client import Client
from tests.load.clients import ASKS, Known, Load, drive
from tests.service.samples import spec
from tests.service.serving import serving


def test_clients_at_once_get_good_answers_and_keep_their_connections(
    engine: Engine, tmp_path: Path
) -> None:
    """On each database; nothing is said of times."""
    with serving(engine, tmp_path) as served, Client(served.url) as client:
        known = Known([client.submit(spec(seeds=seeds))["id"] for seeds in (6, 2)])
        served.train_all()
        known.sweeps.append(client.submit(spec(seeds=50))["id"])
        seen = asyncio.run(drive(served.url, known, Load(clients=12, seconds=3.0, think_s=0.05)))
    assert not seen.wrong()
    assert seen.faults == seen.limited == 0
    assert seen.requests > 12
    assert seen.made > 0
    assert {route for route, _ in seen.answers} > {"GET /", "GET /api/v1/sweeps"}
    assert len(ASKS) > 10


def test_who_asks_too_often_is_held_to_the_limit_and_told_so(
    engine: Engine, tmp_path: Path
) -> None:
    """The load's own greedy client, alone, against a limit that it passes at once."""
    limit, load = 20, Load(clients=0, seconds=2.0, think_s=0.3, greedy=1)
    with serving(engine, tmp_path, rate_limit=0) as served, Client(served.url) as client:
        known = Known([client.submit(spec(seeds=2))["id"]])
    with serving(engine, tmp_path, rate_limit=limit) as served:
        began = time.monotonic()
        seen = asyncio.run(drive(served.url, known, load))
        seconds = time.monotonic() - began
    assert not seen.wrong()
    assert seen.limited_greedy > 0
    assert limit <= seen.granted_greedy <= limit * (1 + seconds / 60) + 1

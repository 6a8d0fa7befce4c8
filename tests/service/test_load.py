"""A few clients at once: every answer is a good one, and no connection breaks."""

import asyncio
import itertools
import time
from pathlib import Path

from sqlalchemy import Engine

from service.client import Client
from tests.load.clients import ASKS, Known, Load, drive
from tests.service.samples import spec
from tests.service.serving import serving

WAIT_S = 120


def test_clients_at_once_get_good_answers_and_keep_their_connections(
    engine: Engine, tmp_path: Path
) -> None:
    """On each database; nothing is said of times."""
    with serving(engine, tmp_path) as served, Client(served.url) as client:
        known = Known([client.submit(spec(seeds=seeds))["id"] for seeds in (6, 2)])
        served.train_all()
        known.sweeps.append(client.submit(spec(seeds=50))["id"])
        load = Load(clients=12, seconds=3.0, think_s=0.05)
        made, routes, deadline = 0, set[str](), time.monotonic() + WAIT_S
        for seed in itertools.count(1):  # a slow machine has them ask for longer
            seen = asyncio.run(drive(served.url, known, load, seed))
            assert not seen.wrong()
            assert seen.faults == seen.limited == 0
            made, routes = made + seen.made, routes | {route for route, _ in seen.answers}
            if made and routes > {"GET /", "GET /api/v1/sweeps"}:
                break
            assert time.monotonic() < deadline, (made, routes)
    assert len(ASKS) > 10


def test_who_asks_too_often_is_held_to_the_limit_and_told_so(
    engine: Engine, tmp_path: Path
) -> None:
    """The load's own greedy client, alone, against a limit that it passes at once."""
    limit, load = 20, Load(clients=0, seconds=2.0, think_s=0.3, greedy=1)
    granted = refused = 0
    with serving(engine, tmp_path, rate_limit=0) as served, Client(served.url) as client:
        known = Known([client.submit(spec(seeds=2))["id"]])
    with serving(engine, tmp_path, rate_limit=limit) as served:
        began = time.monotonic()
        while not refused and time.monotonic() < began + WAIT_S:
            seen = asyncio.run(drive(served.url, known, load))
            assert not seen.wrong()
            granted, refused = granted + seen.granted_greedy, refused + seen.limited_greedy
        seconds = time.monotonic() - began
    assert refused > 0
    assert limit <= granted <= limit * (1 + seconds / 60) + 1

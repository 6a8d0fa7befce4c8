"""A connection that is kept answers as soon as a new one: no reply waits for an acknowledgement."""

import http.client
import time
from pathlib import Path
from statistics import median

from sqlalchemy import Engine

from tests.service.serving import serving


def test_replies_of_a_kept_connection_are_not_held_back(sqlite: Engine, tmp_path: Path) -> None:
    """With Nagle's algorithm on, each would take 40 ms more than the first of a connection."""
    with serving(sqlite, tmp_path) as served:
        port = int(served.url.rpartition(":")[2])

        def ask(connection: http.client.HTTPConnection) -> float:
            began = time.perf_counter()
            connection.request("GET", "/api/v1/sweeps")
            connection.getresponse().read()
            return time.perf_counter() - began

        kept = http.client.HTTPConnection("127.0.0.1", port)
        ask(kept)
        old, new = [], []
        for _ in range(25):
            old.append(ask(kept))
            fresh = http.client.HTTPConnection("127.0.0.1", port)
            new.append(ask(fresh))
            fresh.close()
        kept.close()
    assert median(old) < 2 * median(new)

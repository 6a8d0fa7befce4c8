"""A connection that is kept answers as soon as a new one: no reply waits for an acknowledgement."""

import contextlib
import http.client
import os
import socket
from pathlib import Path

from sqlalchemy import Engine

from tests.service.serving import serving


def other_end(client: socket.socket) -> socket.socket:
    """The service's end of a connection; the service is in this process."""
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # other threads close theirs meanwhile
            if not file.is_socket():
                continue
            found = socket.socket(fileno=os.dup(int(file.name)))
            with contextlib.suppress(OSError):
                if found.getpeername() == client.getsockname():
                    return found
            found.close()
    raise AssertionError("the service has no such connection")


def test_replies_of_a_kept_connection_are_not_held_back(sqlite: Engine, tmp_path: Path) -> None:
    """With Nagle's algorithm on, each would take 40 ms more than the first of a connection."""
    with serving(sqlite, tmp_path) as served:
        kept = http.client.HTTPConnection("127.0.0.1", int(served.url.rpartition(":")[2]))
        with contextlib.closing(kept):
            for _ in range(2):
                kept.request("GET", "/api/v1/sweeps")
                assert kept.getresponse().read()
            with other_end(kept.sock) as end:
                assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

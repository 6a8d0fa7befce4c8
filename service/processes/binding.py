"""Listening: a socket of one's own, and the API served from it in a thread."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from service.api.server import Server

#: clients that stall at the end are cut off after so long
GRACE_S = 5
#: a connection is kept so long for the next request: longer than clients think between two, who
#: would meet its end with a request on the way
KEPT_S = 75
#: a client that takes nothing of its reply for so long is gone, or as good as gone
STALLED_MS = 60_000


class PortTakenError(Exception):
    """The port is in use."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    It says that it is TCP: asyncio sends the parts of a reply at once (TCP_NODELAY) only on sockets
    that do, and a kept connection's replies would otherwise wait 40 ms for the client's delayed
    acknowledgement. A client that takes nothing of what it asked for is cut off by the kernel.

    Raises:
        PortTakenError: something else listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; its connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTakenError(
            f"port {port} on {host} is in use ({error.strerror}); a service needs a port of its "
            "own; stop what listens there, or choose another with --port (0 takes a free one)"
        ) from error
    listener.listen(128)
    return listener


def url_of(host: str, port: int) -> str:
    """Where to look: an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def listening(app: FastAPI, listener: socket.socket) -> Iterator[threading.Thread]:
    """Serves the API in the thread that it gives; at the end clients that stall are cut off."""
    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # whom to believe is the service's own to say
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=KEPT_S,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="api")
    thread.start()
    try:
        yield thread
    finally:
        try:
            server.should_exit = True
            while thread.is_alive():
                thread.join(0.5)  # in pieces, so that a signal taken by another thread is seen
        except KeyboardInterrupt:
            server.force_exit = True
            raise

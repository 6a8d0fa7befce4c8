"""The stub's service as a child process, and a client that costs little beside it."""

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, Self

import psutil

ROOT = Path(__file__).parents[3]


@dataclass
class Stub:
    """A running service; each thread has a client of its own."""

    port: int
    pid: int

    def client(self) -> "Client":
        """A connection that is kept."""
        return Client(self.port)

    def rss_mib(self) -> float:
        """Memory that the process occupies."""
        return float(psutil.Process(self.pid).memory_info().rss) / 2**20

    def cpu_s(self) -> float:
        """Processor time that it has taken."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


class Client:
    """One kept connection, opened anew before the service would close it for standing idle."""

    IDLE_S = 3.0

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._used = time.monotonic()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        if time.monotonic() - self._used > self.IDLE_S:
            self._connection.close()
        self._used = time.monotonic()
        text = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/v1{path}", text, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status < 300, content
        return json.loads(content)

    def timed(self, method: str, path: str, body: Any = None) -> tuple[float, Any]:
        """Seconds, and the answer."""
        began = time.perf_counter()
        found = self.call(method, path, body)
        return time.perf_counter() - began, found

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


@contextlib.contextmanager
def stub(url: str, folder: Path, *, lanes: int = 64, workers: int = 2) -> Iterator[Stub]:
    """Serves a store until the block ends; without workers nothing is claimed."""
    command = [sys.executable, "-m", "tests.benchmarks.stub.serve"]
    with subprocess.Popen(
        [*command, url, str(folder), str(lanes), str(workers)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, "the stub's service did not start; its error stands above"
        yield Stub(int(line), child.pid)
        child.stdin.close()
        child.wait(60)


class Looker:
    """Asks for a sweep's progress again and again, from a thread of its own, and keeps times."""

    def __init__(self, service: Stub, sweep: str, every_s: float) -> None:
        self.seconds: list[float] = []
        self._client = service.client()
        self._path, self._every_s = f"/sweeps/{sweep}/progress", every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            seconds, _ = self._client.timed("GET", self._path)
            self.seconds.append(seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()


def percentile(seconds: list[float], percent: int) -> float:
    """A percentile, in milliseconds."""
    return 1000 * quantiles(seconds, n=100, method="inclusive")[percent - 1]

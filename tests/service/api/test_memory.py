"""The whole service, with workers that need no time: it ends sweeps, and its memory stays flat."""

import time
from pathlib import Path

from tests.benchmarks.stub.experiment import spec
from tests.benchmarks.stub.process import Client, stub

WAIT_S = 200


def finish(client: Client, trials: int) -> str:
    """Submits a sweep over HTTP and waits for its end."""
    sweep = str(client.call("POST", "/sweeps", spec(trials))["id"])
    until = time.monotonic() + WAIT_S
    while client.call("GET", f"/sweeps/{sweep}/progress")["state"] != "finished":
        assert time.monotonic() < until, "the stub's sweep did not end"
        time.sleep(0.02)
    return sweep


def test_memory_is_flat_over_requests_and_over_sweeps(tmp_path: Path) -> None:
    """A leak of a kilobyte a request, or of a hundred bytes a trial, would show."""
    url = f"sqlite:///{tmp_path / 'seedbed.db'}"
    with stub(url, tmp_path) as service:
        client = service.client()
        sweep = finish(client, 2000)
        paths = [f"/sweeps/{sweep}/progress", f"/sweeps/{sweep}", "/sweeps?limit=5"]
        paths.append(f"/sweeps/{sweep}/trials?limit=20")

        def ask(count: int) -> float:
            for i in range(count):
                client.call("GET", paths[i % len(paths)])
            return service.rss_mib()

        before = ask(400)
        after = ask(2000)
        assert after < before + 2
        finish(client, 4000)
        assert service.rss_mib() < after + 2
        client.close()

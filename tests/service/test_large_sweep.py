"""Over the real API: 14,580 trials are accepted at once, and progress costs as much as of 100."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine

from tests.service.samples import spec
from tests.service.serving import serving

GRID = {
    "learning_rate": [0.1, 0.2, 0.3],
    "init_std": [0.1, 0.2, 0.3],
    "dropout": [0.0, 0.1, 0.2],
    "momentum": [0.0, 0.5, 0.9],
    "clip_norm": [1.0, 2.0, 3.0],
    "noise_gamma": [0.5, 0.55, 0.6],
}
SMALL = spec(grid={}, seeds=50, cohort=50)
FIXED = {"depth": 3, "width": 8, "clip": "norm"}
LARGE = spec(fixed=FIXED, grid=GRID, seeds=10, cohort=10)
LARGER = spec(fixed=FIXED, grid=GRID, seeds=100, cohort=10)


def timed(work: Callable[[], object], repeats: int) -> float:
    """The fewest seconds of the processor, the service's too: it is in this process."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def test_14580_trials_are_accepted_at_once_and_their_progress_costs_as_that_of_100(
    sqlite: Engine, tmp_path: Path
) -> None:
    """Parsing, planning and writing included: the cost is of cells, never of trials."""
    with (
        serving(sqlite, tmp_path) as served,
        httpx.Client(base_url=f"{served.url}/api/v1", timeout=60) as api,
    ):
        made: dict[int, str] = {}

        def post(body: dict[str, Any]) -> Callable[[], object]:
            def work() -> None:
                reply = api.post("/sweeps", json=body)
                assert reply.status_code == 201, reply.text
                made[reply.json()["trials"]] = reply.json()["id"]

            return work

        def look(trials: int) -> Callable[[], object]:
            def work() -> None:
                reply = api.get(f"/sweeps/{made[trials]}/progress")
                assert reply.json()["trials"] == trials

            return work

        small, large, larger = (timed(post(body), 3) for body in (SMALL, LARGE, LARGER))
        assert set(made) == {100, 14_580, 145_800}
        assert larger < 2 * large, "ten times the seeds must not cost more"
        assert large < 1458 / 2 * small, "a cell must cost less than a sweep of two"
        served.train(2000)
        assert timed(look(14_580), 30) < 2 * timed(look(100), 30)
        print(f"POST {small:.3f} {large:.3f} {larger:.3f} s")  # noqa: T201 - shown with -s

"""What the service costs when training costs nothing: dispatcher, store and API over real HTTP.

`python -m tests.benchmarks.control_plane [--repeats 5] [--large 1000000]` prints the rows.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Engine

from service.store.engine import open_engine, upgrade
from tests.benchmarks.databases import DATABASES
from tests.benchmarks.stub.experiment import spec
from tests.benchmarks.stub.history import finish
from tests.benchmarks.stub.outcomes import finish_with_outcomes
from tests.benchmarks.stub.process import Client, Looker, Stub, percentile, stub

Row = dict[str, Any]
SMALL = 1000
#: a page of the dashboard asks about once a second; this is twenty of them
LOOK_EVERY_S = 0.05


def rows(
    *,
    repeats: int = 5,
    trials: int = 20_000,
    large: int = 1_000_000,
    requests: int = 10_000,
    databases: Sequence[str] = tuple(DATABASES),
) -> list[Row]:
    """Every row, on SQLite and on PostgreSQL.

    Args:
        trials: of each sweep whose outcomes are counted.
        large: trials of the sweep that is compared with one of a thousand, and of the large report.
        requests: over which the API's memory is watched.
    """
    return list(each(repeats, trials, large, requests, databases))


def each(
    repeats: int, trials: int, large: int, requests: int, databases: Sequence[str]
) -> Iterator[Row]:
    """The rows as they come."""
    for name in databases:
        with DATABASES[name]() as url, tempfile.TemporaryDirectory() as folder:
            yield from _throughput(name, url, Path(folder), repeats, trials)
        with DATABASES[name]() as url, tempfile.TemporaryDirectory() as folder:
            yield from _flat(name, url, Path(folder), repeats, large, requests)
        with DATABASES[name]() as url, tempfile.TemporaryDirectory() as folder:
            yield from _reports(name, url, Path(folder), repeats, large)


def row(name: str, value: float, unit: str, note: str = "") -> Row:
    """One line of the table."""
    return {"name": name, "value": round(value, 3), "unit": unit, "note": note}


def _throughput(name: str, url: str, folder: Path, repeats: int, trials: int) -> list[Row]:
    """Sweep after sweep on a store that fills, from the request to the last settled cohort."""
    rates, looks, cpu = [], [], []
    with stub(url, folder) as service:
        client = service.client()
        for _ in range(repeats):
            before, began = service.cpu_s(), time.perf_counter()
            sweep = client.call("POST", "/sweeps", spec(trials))["id"]
            with Looker(service, sweep, LOOK_EVERY_S) as looker:
                _await(client, sweep, trials)
                seconds = time.perf_counter() - began
            rates.append(trials / seconds)
            cpu.append((service.cpu_s() - before) / trials * 1e6)
            looks += looker.seconds
        client.close()
    note = f"{repeats} sweeps of {trials:,} trials one after another, 2 workers x 64 lanes"
    spread = f"{note}; {min(rates):,.0f} to {max(rates):,.0f}; load {os.getloadavg()[0]:.1f}"
    under = f"every {LOOK_EVERY_S * 1000:.0f} ms while outcomes arrive at the rate above"
    return [
        row(f"outcomes, {name}", median(rates), "1/s", spread),
        row(f"service's CPU an outcome, {name}", median(cpu), "us", "requests for progress in it"),
        row(f"progress under load p50, {name}", percentile(looks, 50), "ms", under),
        row(f"progress under load p95, {name}", percentile(looks, 95), "ms", under),
    ]


def _await(client: Client, sweep: str, trials: int) -> None:
    while True:
        now = client.call("GET", f"/sweeps/{sweep}/progress")
        if now["state"] == "finished":
            settled = sum(arm["settled"]["trials"] for arm in now["arms"])
            assert settled == now["ended"] == trials, now
            return
        time.sleep(LOOK_EVERY_S)


def _flat(name: str, url: str, folder: Path, repeats: int, large: int, requests: int) -> list[Row]:
    """The same at a thousand trials and at a million."""
    with stub(url, folder, workers=0) as service:
        client = service.client()
        times: dict[int, list[float]] = {SMALL: [], large: []}
        for _ in range(max(repeats, 9)):
            for trials, seconds in times.items():
                seconds.append(client.timed("POST", "/sweeps", spec(trials))[0] * 1000)
        pair = {trials: median(seconds) for trials, seconds in times.items()}
        yield from [row(f"accepting {n:,} trials, {name}", v, "ms") for n, v in pair.items()]
        yield row(f"accepting {large:,} / {SMALL:,}, {name}", pair[large] / pair[SMALL], "x")
        engine = open_engine(url)
        upgrade(engine)
        sweeps = {n: _past(engine, client, n) for n in (SMALL, large)}
        engine.dispose()
        yield from _progress(name, client, sweeps)
        yield from _memory(name, service, client, sweeps[large], requests)
        client.close()
    with stub(url, folder) as service:
        yield from _deep(name, service, large)


def _past(engine: Engine, client: Client, trials: int) -> str:
    sweep = str(client.call("POST", "/sweeps", spec(trials))["id"])
    finish(engine, sweep, 10**9)
    return sweep


def _progress(name: str, client: Client, sweeps: dict[int, str]) -> list[Row]:
    times: dict[int, list[float]] = {n: [] for n in sweeps}
    for _ in range(500):
        for trials, sweep in sweeps.items():
            times[trials].append(client.timed("GET", f"/sweeps/{sweep}/progress")[0])
    found = [
        row(f"progress at {n:,} trials p{p}, {name}", percentile(seconds, p), "ms", "idle")
        for n, seconds in times.items()
        for p in (50, 95)
    ]
    small, large = (median(seconds) for seconds in times.values())
    return [*found, row(f"progress at most / fewest trials, {name}", large / small, "x", "medians")]


def _memory(name: str, service: Stub, client: Client, sweep: str, requests: int) -> list[Row]:
    paths = [f"/sweeps/{sweep}/progress", f"/sweeps/{sweep}", "/sweeps?limit=5"]
    paths.append(f"/sweeps/{sweep}/trials?limit=20")

    def ask(count: int) -> float:
        for i in range(count):
            client.call("GET", paths[i % len(paths)])
        return service.rss_mib()

    before, after = ask(400), ask(requests)
    note = f"{requests:,} requests of 4 kinds after 400 to warm up"
    return [
        row(f"memory of the service before, {name}", before, "MiB"),
        row(f"memory of the service after, {name}", after, "MiB", note),
    ]


def _deep(name: str, service: Stub, large: int) -> list[Row]:
    """Outcomes in a store that holds the large sweep, while the large sweeps above also wait."""
    client = service.client()
    began, before = time.perf_counter(), _ended(client)
    while time.perf_counter() - began < 5:
        time.sleep(LOOK_EVERY_S)
    rate = (_ended(client) - before) / (time.perf_counter() - began)
    client.close()
    note = f"beside {large:,} rows, the sweeps accepted above in the queue"
    return [row(f"outcomes in a full store, {name}", rate, "1/s", note)]


#: the paper's: 7,290 restarts of each arm, 10 in each of 729 settings
PAPER, SETTINGS = 14_580, 729
FOUR = {"metric": "score", "at_least": 0.9, "report_at": [0.5, 0.7, 0.8, 0.9]}


def _reports(name: str, url: str, folder: Path, repeats: int, large: int) -> Iterator[Row]:
    """A report from request to last byte; the first of a service loads libraries besides."""
    with stub(url, folder, workers=0) as service:
        client = service.client()
        engine = open_engine(url)
        upgrade(engine)
        for trials, settings in ((PAPER, SETTINGS), (large, 5)):
            body = spec(trials, settings=settings, success=FOUR)
            sweep = str(client.call("POST", "/sweeps", body)["id"])
            finish_with_outcomes(engine, sweep, ["score"])
            times = [client.timed("GET", f"/sweeps/{sweep}/report")[0] for _ in range(repeats + 1)]
            note = f"4 thresholds, {2 * settings} cells; the first took {times[0]:.2f} s"
            yield row(f"report of {trials:,} trials, {name}", median(times[1:]), "s", note)
        yield row(f"memory of the service after reports, {name}", service.rss_mib(), "MiB")
        engine.dispose()
        client.close()


def _ended(client: Client) -> int:
    items = client.call("GET", "/sweeps?limit=200")["items"]
    return sum(int(item["progress"]["ended"]) for item in items)


def main() -> None:
    """Prints the rows as a table, or as a JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--databases", nargs="+", default=list(DATABASES), choices=DATABASES)
    parser.add_argument("--json", action="store_true")
    given = vars(parser.parse_args())
    as_json = given.pop("json")
    for r in each(**given):
        line = f"{r['name']:<48} {r['value']:>12,.2f} {r['unit']:<4} {r['note']}"
        sys.stdout.write((json.dumps(r) if as_json else line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

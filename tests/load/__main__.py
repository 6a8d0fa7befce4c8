"""`make load`: 200 clients for five minutes on each way to serve; writes docs/results/load.md.

It ends with status 1 where an answer was 5xx or unexpected, a connection broke, a 429 came to
somebody who asked less than the limit, or who asked more was not held to it.
"""

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import httpx

from tests.benchmarks.calibration import measure
from tests.load.clients import API, Load, drive
from tests.load.render import Ran, page
from tests.load.served import MODES, known, served

_PAGE = Path("docs/results/load.md")
_ALONE = 200
#: clients that ask more than their key may, in mode keys
GREEDY = 5


def main(arguments: list[str]) -> int:
    """Runs every mode; the status."""
    asks = argparse.ArgumentParser(prog="python -m tests.load")
    asks.add_argument("--clients", type=int, default=200)
    asks.add_argument("--seconds", type=float, default=300.0)
    asks.add_argument("--think", type=float, default=3.0, help="mean pause of a client, in s")
    asks.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    asks.add_argument("--page", type=Path, default=_PAGE)
    asked = asks.parse_args(arguments)
    plain = Load(asked.clients, asked.seconds, asked.think)
    calibration = measure(3.0)
    ran = []
    for mode in asked.modes:
        sys.stderr.write(f"{mode}: starting\n")
        with tempfile.TemporaryDirectory(prefix="seedbed-load-") as folder:
            load = replace(plain, greedy=GREEDY) if mode == "keys" else plain
            ran.append(_one(mode, Path(folder), load))
        sys.stderr.write(f"{mode}: {ran[-1].seen.requests:,} answers\n")
    command = f"make load ARGS='{' '.join(arguments)}'" if arguments else "make load"
    text = page(ran, plain, command, calibration, os.cpu_count() or 1)
    asked.page.write_text(text, encoding="utf-8")
    wrong = [what for each in ran for what in each.wrong()]
    sys.stdout.write("\n".join([*wrong, f"written: {asked.page}"]) + "\n")
    return int(bool(wrong))


def _one(mode: str, folder: Path, load: Load) -> Ran:
    with served(mode, folder, load.clients + load.greedy) as (url, keys):
        about = known(url, keys)
        alone = []
        path = f"{API}/sweeps/{about.sweeps[0]}/progress"
        sent = [{"Authorization": f"Bearer {key}"} for key in keys] or [{}]
        with httpx.Client(base_url=url, timeout=60) as client:
            for headers in sent:  # argon2 looks at a key once
                client.get(path, headers=headers).raise_for_status()
            for headers in itertools.islice(itertools.cycle(sent), _ALONE):
                began = time.perf_counter()
                client.get(path, headers=headers).raise_for_status()
                alone.append(time.perf_counter() - began)
        cpu, began = time.process_time(), time.monotonic()
        seen = asyncio.run(drive(url, about, load))
        return Ran(mode, load, seen, time.monotonic() - began, alone, time.process_time() - cpu)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

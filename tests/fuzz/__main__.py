"""`make fuzz`: at least 20,000 requests, for at most so many minutes; writes docs/results/fuzz.md.

Half of them meet an application that asks nobody, half one with keys on, as an admin.

It ends with status 1 where a check failed, a request had no answer, or there were too few.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.databases import DATABASES
from tests.fuzz.campaign import campaign
from tests.fuzz.render import Campaign, page
from tests.fuzz.stage import staged
from tests.fuzz.tally import Tally

AUTHS = ("none", "keys")
_PAGE = Path("docs/results/fuzz.md")


def main(arguments: list[str]) -> int:
    """Runs a campaign; its status."""
    asks = argparse.ArgumentParser(prog="python -m tests.fuzz")
    asks.add_argument("--requests", type=int, default=20_000)
    asks.add_argument("--minutes", type=float, default=30.0)
    asks.add_argument("--seed", type=int, default=1)
    asks.add_argument("--database", choices=DATABASES, default="postgresql")
    asks.add_argument("--page", type=Path, default=_PAGE)
    asked = asks.parse_args(arguments)
    tally, seed, began = Tally(), asked.seed, time.monotonic()
    for auth in AUTHS:
        with (
            DATABASES[asked.database]() as url,
            tempfile.TemporaryDirectory() as folder,
            staged(url, Path(folder), seed, auth=auth) as stage,
        ):
            seed = campaign(
                stage,
                tally,
                seed=seed,
                requests=tally.requests + asked.requests // len(AUTHS),
                most_s=60 * asked.minutes / len(AUTHS),
                say=lambda line: sys.stderr.write(f"{line}\n"),
            )
    how = Campaign(
        f"make fuzz ARGS='{' '.join(arguments)}'" if arguments else "make fuzz",
        asked.database,
        asked.seed,
        time.monotonic() - began,
        os.cpu_count() or 1,
    )
    asked.page.write_text(page(tally, how), encoding="utf-8")
    told = tally.told() or f"{tally.requests:,} requests, no failure; {asked.page}"
    sys.stdout.write(f"{told}\n")
    return int(bool(tally.wrong or tally.errors or tally.requests < asked.requests))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make drill`: a sweep left alone, then the same under every fault; they must come to the same.

It shoots at what `make up` started in this folder. Its log is Markdown (docs/results/compose.md).
"""

import argparse
import os
import platform
import secrets
import sys
import time
from datetime import UTC, datetime

from deploy.drill.engine import EngineError, compose, containers, docker, healthy, inspect
from deploy.drill.faults import Fault, NoReturnError, faults
from deploy.drill.sweeps import LostError, Record, ended, finish, moved, spec, submit
from service.cli.own_key import own_key
from service.client import Client, ServiceError, ServiceUnreachableError

#: after a fault a sweep goes on within this, and a service is healthy again
AGAIN_S, WELL_S = 300.0, 300.0
#: the longest that a whole sweep takes
SWEEP_S = 3600.0
BUILT = ("postgres", "redis", "api", "ray-worker")


def say(line: str = "") -> None:
    """A line of the log."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Runs the drill; 0 if nothing was lost."""
    parser = argparse.ArgumentParser(prog="make drill", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8321")
    parser.add_argument("--seeds", type=int, default=400, help="an arm, of each sweep")
    parser.add_argument("--steps", type=int, default=500, help="of a trial")
    parser.add_argument("--only", default="", help="the faults of which this is said, or all")
    words = parser.parse_args()
    waiting = [fault for fault in faults() if words.only in f"{fault.service} {fault.said}"]
    if not waiting:
        parser.error(f"--only {words.only!r} names no fault; see deploy/drill/faults.py")
    where()
    with Client(words.url, key=own_key(words.url)) as client:
        body = spec(client, words.seeds, words.steps)
        say(f"Each sweep: {2 * words.seeds} trials of {words.steps} steps, one root, cohorts of "
            f"{body['cohort']}.\n")  # fmt: skip
        began = time.monotonic()
        calm = finish(client, submit(client, body, secrets.token_hex(8)), SWEEP_S)
        say(f"Undisturbed: {told(calm)}; {time.monotonic() - began:.0f} s, load {load()}.\n")
        if not calm.exactly_once:
            raise LostError("the undisturbed sweep is not whole")
        struck = disturb(client, body, waiting)
    wrong = [each for each in struck if not each.exactly_once or each.findings != calm.findings]
    say()
    for each in struck:
        say(f"Disturbed: {told(each)}.")
    say(f"\n{'Something was lost.' if wrong else 'Nothing was lost: every hash is the same.'}")
    return 1 if wrong else 0


def disturb(client: Client, body: dict[str, object], waiting: list[Fault]) -> list[Record]:
    """Deals the faults one after another while sweeps of the spec run; what these came to."""
    records = []
    say("| at | service | fault | trials ended before | next trial ended after | healthy after |")
    say("|---|---|---|---|---|---|")
    start = time.monotonic()
    while waiting:
        sweep = submit(client, body, secrets.token_hex(8))
        runs = moved(client, sweep, 0, AGAIN_S)
        while runs and waiting:
            fault = waiting.pop(0)
            before = ended(client, sweep) or 0
            dealt = time.monotonic()
            fault.deal()
            undone = time.monotonic()
            done = ended(client, sweep)
            runs = moved(client, sweep, before if done is None else done, AGAIN_S)
            again = f"{time.monotonic() - undone:.1f} s" if runs else "the sweep's end"
            well_s = well(fault.service, undone)
            say(f"| {dealt - start:.0f} s | {fault.service} | {fault.said} | {before} | "
                f"{again} | {well_s:.1f} s |")  # fmt: skip
        records.append(finish(client, sweep, SWEEP_S))
    return records


def well(service: str, since: float) -> float:
    """Seconds until a service is healthy.

    Raises:
        LostError: it was not in time.
    """
    while not healthy(service):
        if time.monotonic() - since > WELL_S:
            raise LostError(f"{service} is not healthy {WELL_S:.0f} s after its fault")
        time.sleep(0.5)
    return time.monotonic() - since


def told(record: Record) -> str:
    """A record as a sentence."""
    return (
        f"{record.outcomes} outcomes of {record.trials} trials, {record.rows} rows "
        f"({record.distinct} different), {record.again} attempts again, findings "
        f"`{record.findings[:16]}`"
    )


def load() -> str:
    """The machine's, over a minute and five."""
    one, five, _ = os.getloadavg()
    return f"{one:.1f} / {five:.1f}"


def where() -> None:
    """The machine, the engine and the images."""
    say(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, {os.cpu_count()} cores, "
        f"load {load()}; engine {docker('version', '--format', '{{.Server.Version}}')}, compose "
        f"{compose('version', '--short')}.\n")  # fmt: skip
    say("| service | containers | image | MB |")
    say("|---|---|---|---|")
    for service in BUILT:
        found = containers(service)
        image = inspect(found[0])["Config"]["Image"]
        size = int(docker("image", "inspect", image, "--format", "{{.Size}}"))
        say(f"| {service} | {len(found)} | {image} | {size / 1e6:.0f} |")
    say()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (EngineError, LostError, NoReturnError, ServiceError, ServiceUnreachableError) as error:
        sys.exit(f"drill: {error}")

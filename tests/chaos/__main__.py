"""`make chaos`: shoots at a sweep, prints what was dealt and what held, and writes the page.

Everything that it starts is ended by its process id, whatever happens; if something does not hold
the logs stay, and it says where.
"""

import argparse
import random
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from service.local import ending_on_signals
from tests.chaos import network
from tests.chaos.deal import TooLateError
from tests.chaos.page import page, totals
from tests.chaos.parts import PartError
from tests.chaos.run import run
from tests.chaos.schedule import Kind, deal
from tests.chaos.site import site_of
from tests.chaos.sweep import CELLS

PAGE = Path("docs/results/chaos.md")
SITE = (
    "A Ray head without CPUs and 2 nodes of one CPU, 2 dispatchers (one a standby), 2 API "
    "replicas, PostgreSQL and Redis."
)


def kinds() -> tuple[list[Kind], list[str]]:
    """What can be dealt here, and what cannot and why."""
    missing = {}
    if not network.inside():
        why = "needs root, ip, unshare and nsenter"
        missing = {Kind.NODE_CUT_OFF: why, Kind.STORAGE_FULL: why}
    found = [kind for kind in Kind if kind not in missing]
    return found, [f"{kind} ({why})" for kind, why in missing.items()]


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of the schedule; drawn if absent")
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--trials", type=int, default=2048, help=f"a multiple of {CELLS}")
    parser.add_argument("--steps", type=int, default=800, help="of a trial; longer lasts longer")
    parser.add_argument("--kinds", default="", help="by comma; all that can be dealt here")
    parser.add_argument("--limit", type=float, default=1200.0, help="seconds; then it has failed")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page is written")
    return parser.parse_args()


def say(line: str) -> None:
    """A line at once, so that a run can be followed."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Runs; 0 if everything held."""
    asked = options()
    if network.inside():
        network.lay()
    elif network.possible():
        network.enter()
    seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    found, missing = kinds()
    if asked.kinds:
        found = [Kind(name.strip()) for name in asked.kinds.split(",")]
    schedule = deal(seed, asked.faults, asked.trials, found)
    words = ["--seed", seed, "--faults", asked.faults]
    words += ["--trials", asked.trials, "--steps", asked.steps]
    command = f"make chaos ARGS={shlex.quote(' '.join(map(str, words)))}"
    say(command)
    for fault in schedule:
        say(f"  after {fault.after:5d} outcomes: {fault.kind}, for {fault.while_s:.1f} s")
    folder = Path(tempfile.mkdtemp(prefix="seedbed-chaos-"))
    folder.chmod(0o755)  # PostgreSQL has a user of its own
    say(f"logs in {folder}")
    try:
        with ending_on_signals():
            verdict = run(
                site_of,
                folder,
                schedule,
                trials=asked.trials,
                steps=asked.steps,
                limit_s=asked.limit,
                say=say,
            )
    except (TooLateError, PartError) as error:
        say(f"{error}\nthe logs are in {folder}; repeat it with: {command}")
        return 1
    asked.page.parent.mkdir(parents=True, exist_ok=True)
    asked.page.write_text(page(verdict, command, asked.trials, SITE, missing), encoding="utf-8")
    say("\n".join(totals(verdict, asked.trials)))
    say(f"written: {asked.page}")
    if verdict.wrong:
        say("\n".join([*verdict.wrong, f"the logs are in {folder}; repeat it with: {command}"]))
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

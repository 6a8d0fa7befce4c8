"""A run as a page: what was dealt, what came of it, and what held."""

import os
import platform
from collections import Counter
from collections.abc import Sequence

import psutil

from tests.chaos.deal import Fire
from tests.chaos.run import Verdict

_NEVER = "-"


def machine() -> str:
    """What it ran on, in a line."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} CPU cores, {memory:.0f} GiB memory, Linux {platform.release()}"


def table(fire: Fire) -> list[str]:
    """The faults, one a row."""
    rows = [
        "| # | at (s) | outcomes | fault | dealt to | what was seen | next outcome after (s) |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, w in enumerate(fire.wounds, 1):
        came = _NEVER if w.next_s is None else f"{w.next_s:.1f}"
        at = f"{w.began - fire.began:.1f}"
        cells = (str(number), at, str(w.recorded), w.fault.kind, w.target, w.seen, came)
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def totals(verdict: Verdict, trials: int) -> list[str]:
    """What held, and what it took."""
    dealt = Counter(wound.fault.kind for wound in verdict.fire.wounds)
    kinds = ", ".join(f"{n} x {kind}" for kind, n in sorted(dealt.items()))
    events = ", ".join(f"{name} {n}" for name, n in verdict.events.items())
    alike = len(verdict.found.trials) == trials and not verdict.wrong
    by_itself = ", ".join(f"{name} {n}" for name, n in verdict.restarts.items()) or "none"
    return [
        f"- {len(verdict.fire.wounds)} faults of {len(dealt)} kinds: {kinds}",
        (
            f"- {len(verdict.found.trials)} trials have an outcome, of {trials}; "
            f"{'each is' if alike else 'NOT each is'} bit-identical to the undisturbed run's "
            "(end state, steps, weights' fingerprint, metrics, curve, numerics class)"
        ),
        (
            f"- writes to the table of outcomes, by the database's own journal: "
            f"{verdict.writes.inserted} first, {len(verdict.writes.again)} repeated, "
            f"{verdict.writes.others} changed or deleted"
        ),
        (
            f"- attempts: {verdict.found.attempts} for {trials} trials; "
            f"late writes refused: {verdict.refused}"
        ),
        f"- findings `{verdict.found.findings}`, undisturbed `{verdict.undisturbed.findings}`",
        f"- bundle `{verdict.found.bundle}`, undisturbed `{verdict.undisturbed.bundle}`",
        f"- events in the dispatchers' logs: {events}",
        f"- parts that ended by themselves and were started again: {by_itself}",
        f"- under fire the sweep took {verdict.fire.seconds:.0f} s",
    ]


def page(verdict: Verdict, command: str, trials: int, site: str, missing: Sequence[str]) -> str:
    """The whole page, in Markdown."""
    held = "Everything held." if not verdict.wrong else "NOT everything held:"
    lines = [
        "# Under fire",
        "",
        f"`{command}`, on {machine()}.",
        "",
        f"{site} {held}",
        "",
        *[f"- {each}" for each in verdict.wrong],
        *totals(verdict, trials),
        "",
        *([f"Not dealt here: {'; '.join(missing)}.", ""] if missing else []),
        "## Faults",
        "",
        "A fault is dealt once so many outcomes are recorded; several may be open at once.",
        "",
        *table(verdict.fire),
        "",
    ]
    return "\n".join(lines)

"""The page on load: what clients saw in each mode, beside what the machine gave."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.bus.limits import WINDOW_S
from tests.benchmarks.machine import load_note, machine
from tests.load.clients import ASKS, HASTE, Load
from tests.load.seen import Seen, percentile
from tests.load.served import KEY_LIMIT, LIMIT

_PERCENTS = (50, 95, 99)
_SLOW = "/report"


@dataclass(frozen=True)
class Ran:
    """One mode.

    Attributes:
        alone_s: seconds of requests for progress by one client, before the others came.
        cpu_s: processor seconds that the driver itself took.
    """

    mode: str
    load: Load
    seen: Seen
    seconds: float
    alone_s: list[float]
    cpu_s: float

    @property
    def most_greedy(self) -> float:
        """So much may be answered to those who ask too often: a minute's at once, then the rate."""
        return self.load.greedy * KEY_LIMIT * (1 + self.seconds / WINDOW_S)

    def wrong(self) -> list[str]:
        """Everything that must not be, in words."""
        found = self.seen.wrong()
        if self.load.greedy and not self.seen.limited_greedy:
            found.append("nobody who asked too often was told so")
        if self.seen.granted_greedy > self.most_greedy:
            found.append(f"{self.seen.granted_greedy:,} answers above the limit")
        return found


_HEAD = """\
# Under load

`{command}`: {clients} clients, each with a connection that it keeps, for
{seconds:.0f} s, with a mean pause of {think_s:g} s after each answer. Of 100 requests: {mix}.

{machine}. Clients, API, database and the worker share its cores. One core gave {gflops:.0f} GFLOP/s
of sgemm, the disk {fsyncs:,.0f} fsyncs a second.
"""
_TIMES = """\
- reads, p99: {every:.0f} ms; without reports {quiet:.0f} ms; of one client alone that asks for
  progress: p50 {alone50:.1f} ms, p99 {alone99:.1f} ms"""
_GREEDY = """\
- {clients} more clients ask {haste} times as often and do not wait: {granted:,} answers, of at most
  {most:,.0f}, and {limited:,} of 429 with `Retry-After`"""
_MODES = {
    "serve": "`seedbed serve` on SQLite, one worker that trains all the while",
    "split": "`seedbed api` and `seedbed dispatcher` on PostgreSQL, one worker that trains",
    "keys": f"The same with a key for each client, limited to {KEY_LIMIT} requests a minute",
}


def page(
    ran: list[Ran], load: Load, command: str, calibration: Mapping[str, float], cores: int
) -> str:
    """Markdown."""
    mix = ", ".join(f"{name} {share:g}" for name, (share, _) in ASKS.items())
    lines = [
        _HEAD.format(
            command=command,
            mix=mix,
            machine=machine(cores),
            gflops=calibration["sgemm_gflops"],
            fsyncs=calibration["fsyncs"],
            **vars(load),
        )
    ]
    note = load_note()
    if note is not None:
        lines += ["", note]
    for each in ran:
        lines += ["", f"## {_MODES[each.mode]}", "", *_mode(each)]
    return "\n".join(lines) + "\n"


def reads(seen: Seen, *, reports: bool) -> list[float]:
    """Seconds of all GETs, with those for reports or without."""
    return [
        s
        for route, seconds in seen.seconds.items()
        if route.startswith("GET ") and (reports or not route.endswith(_SLOW))
        for s in seconds
    ]


def _mode(ran: Ran) -> list[str]:
    seen = ran.seen
    quiet, every = reads(seen, reports=False), reads(seen, reports=True)
    times = _TIMES.format(
        every=percentile(every, 99),
        quiet=percentile(quiet, 99),
        alone50=percentile(ran.alone_s, 50),
        alone99=percentile(ran.alone_s, 99),
    )
    pace = f"{seen.requests / ran.seconds:.0f} a second"
    return [
        f"- {seen.requests:,} answers in {ran.seconds:.0f} s, {pace}",
        f"- {seen.made} sweeps submitted; {seen.events:,} events read",
        f"- answers of 5xx: {seen.faults}",
        f"- connections that broke: {seen.dropped.total()}",
        f"- answers of 429 below the limit ({_limit(ran.load)}): {seen.limited}",
        *_greedy(ran),
        f"- other answers that should not be: {seen.unexpected.total()}",
        times,
        f"- the clients themselves took {ran.cpu_s / ran.seconds:.0%} of a core",
        *(f"- **{what}**" for what in ran.wrong()),
        "",
        "| route | answers | p50, ms | p95 | p99 | most |",
        "|---|--:|--:|--:|--:|--:|",
        *(_row(route, seconds) for route, seconds in sorted(seen.seconds.items())),
    ]


def _limit(load: Load) -> str:
    if load.greedy:
        return f"{KEY_LIMIT:,} a minute for each key"
    return f"{LIMIT:,} a minute for the one address that all come from"


def _greedy(ran: Ran) -> list[str]:
    if not ran.load.greedy:
        return []
    seen = ran.seen
    return [
        _GREEDY.format(
            clients=ran.load.greedy,
            haste=HASTE,
            granted=seen.granted_greedy,
            most=ran.most_greedy,
            limited=seen.limited_greedy,
        )
    ]


def _row(route: str, seconds: list[float]) -> str:
    found = " | ".join(f"{percentile(seconds, p):.0f}" for p in _PERCENTS)
    return f"| `{route}` | {len(seconds):,} | {found} | {1000 * max(seconds):.0f} |"

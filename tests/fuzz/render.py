"""The page on a campaign: requests by route and status, checks, failures."""

from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version

from tests.benchmarks.machine import machine
from tests.fuzz.settings import CROSSED
from tests.fuzz.tally import Tally


@dataclass(frozen=True)
class Campaign:
    """How a tally came about."""

    command: str
    database: str
    seed: int
    seconds: float
    cores: int


_WHAT = """\
`{command}`: schemathesis {version} generates requests from the OpenAPI description that the service
serves, valid and not, sends them to a served application on {database} with real sweeps in every
state, while trials of them end, and judges every answer by all its checks. Half of them meet an
application that asks nobody who they are, half one with keys on, asked by an admin and, where a
check leaves the key out or makes one up, by nobody.
"""
_EXCEPTIONS = """\
A POST or PATCH to a route that has none is answered 415 before 405 unless it says that it is JSON.
A valid request may be answered 422 where rules cross fields, which JSON Schema cannot say:
"""


def page(tally: Tally, how: Campaign) -> str:
    """Markdown."""
    lines = [
        "# The API under generated requests",
        "",
        _WHAT.format(version=version("schemathesis"), **vars(how)),
        f"- {tally.requests:,} requests in {how.seconds:,.0f} s, first seed {how.seed}",
        f"- failures of checks: {tally.wrong.total()}",
        f"- without an answer, or not asked: {len(tally.errors)}",
        f"- answers of 5xx: {_server_errors(tally)}",
        f"- {machine(how.cores)}",
        "",
        "## Answers by operation and status",
        "",
        *_answers(tally),
        "",
        "## Checks",
        "",
        "| check | made | failed |",
        "|---|--:|--:|",
        *(f"| {name} | {n:,} | {_failed(tally, name)} |" for name, n in _by_name(tally.checks)),
        "",
        _EXCEPTIONS,
        *(f"- `{operation}`: {why}" for operation, why in CROSSED.items()),
    ]
    if tally.wrong or tally.errors:
        lines += ["", "## Failures", "", "```", tally.told(), "```"]
    return "\n".join(lines) + "\n"


def _answers(tally: Tally) -> list[str]:
    statuses = sorted({status for _, status in tally.answers})
    head = f"| operation | {' | '.join(map(str, statuses))} |"
    rows = []
    for operation in sorted({operation for operation, _ in tally.answers}):
        counts = [tally.answers[operation, status] for status in statuses]
        rows.append(f"| `{operation}` | {' | '.join(f'{n:,}' if n else '' for n in counts)} |")
    return [head, "|---|" + "--:|" * len(statuses), *rows]


def _server_errors(tally: Tally) -> int:
    return sum(n for (_, status), n in tally.answers.items() if status >= 500)


def _failed(tally: Tally, check: str) -> int:
    return sum(n for wrong, n in tally.wrong.items() if wrong.check == check)


def _by_name(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items())

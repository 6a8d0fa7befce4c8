"""Numbers and prose as Markdown: percent, intervals, p-values, tables."""

import textwrap
from collections.abc import Sequence

from service.evidence.estimate import Estimate
from service.evidence.pairs import Pairs

WIDTH = 128
#: a p below it is written with an exponent
_SMALL = 1e-3


def prose(words: str, indent: int = 0) -> str:
    """A paragraph, wrapped anew; lines after the first are indented."""
    return textwrap.fill(
        " ".join(words.split()), WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of finished cells."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def percent(value: float | None) -> str:
    """Of a rate, two decimals, without the sign."""
    return "-" if value is None else f"{100 * value:.2f}"


def interval(ends: tuple[float, float] | None) -> str:
    """Both ends in percent."""
    return "-" if ends is None else f"[{100 * ends[0]:.2f}, {100 * ends[1]:.2f}]"


def points(found: Estimate) -> str:
    """A difference in points with its interval; the reason where there is none."""
    if found.value is None or found.interval is None:
        return found.reason
    return f"{100 * found.value:+.2f} {interval(found.interval)}"


def times(found: Estimate) -> str:
    """A ratio with its interval."""
    value = "no number" if found.value is None else f"{found.value:.2f}"
    low = "-" if found.low is None else f"{found.low:.2f}"
    return f"{value} [{low}, {'no bound' if found.high is None else f'{found.high:.2f}'}]"


def restarts(found: Estimate) -> str:
    """A number of restarts with its interval, or the least that it takes."""
    if found.low is None:
        return found.reason
    if found.value is None or found.high is None:
        return f"at least {found.low:,.0f}"
    return f"{found.value:,.0f} [{found.low:,.0f}, {found.high:,.0f}]"


def p_value(value: float | None) -> str:
    """A p-value: three decimals, or two digits with an exponent."""
    if value is None:
        return "-"
    return f"{value:.1e}" if value < _SMALL else f"{value:.3f}"


def correlation(pairs: Pairs) -> str:
    """Phi within pairs."""
    phi = pairs.correlation()
    return "-" if phi is None else f"{phi:.3f}"

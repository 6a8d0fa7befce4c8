"""What the tables of a Markdown report are made of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from service.words import p

#: from here on no digits are left out
_WHOLE = 999.5


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def between(ends: Sequence[float] | None, shown: Callable[[float], str]) -> str:
    """`1.2 to 3.4`, or a dash."""
    return "-" if ends is None else f"{shown(ends[0])} to {shown(ends[1])}"


def estimate(found: Mapping[str, Any], shown: Callable[[float], str]) -> list[str]:
    """The value and the interval of an estimate; where it has none, why."""
    value, low, high = found["value"], found["low"], found["high"]
    said = "not estimable" if value is None else shown(value)
    if low is None and high is None:
        return [said, found["reason"] or "-"]
    if high is None:
        return [said, f"{shown(low)} or more"]
    return [said, between((low or 0.0, high), shown)]


def p_is(value: float | None) -> str:
    """`p = 0.0123`, or `p < 0.0001`."""
    said = p(value)
    return f"p {said}" if said.startswith("<") else f"p = {said}"


def number(value: float | None) -> str:
    """Four digits, or a dash."""
    return "-" if value is None else f"{value:.4g}"


def times(value: float) -> str:
    """A ratio or a number of restarts: three digits, and all of those before the point."""
    return f"{value:.3g}" if value < _WHOLE else f"{value:,.0f}"

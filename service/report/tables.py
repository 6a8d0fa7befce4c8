"""The tables of a Markdown report, narrow enough for a terminal of 80 columns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.report.harmless import in_markdown
from service.words import p, percent, points, rule, standing

#: rows of the table of cells; the CSV has all of them
_MOST_CELLS = 24


def threshold(c: Mapping[str, Any]) -> str:
    """A criterion: rates of the arms, contrasts, and the pairs that they rest on."""
    parts = [
        f"## {rule(c)} ({standing(c)})",
        _table(
            ("arm", "successes", "rate", "95 % (Wilson)"),
            ([in_markdown(e["arm"]), *_numbers(e)] for e in c["arms"]),
        ),
    ]
    if c["contrasts"]:
        parts += [
            _table(
                ("contrast", "difference (points)", "95 % (paired)", "p"),
                (_contrast(k) for k in c["contrasts"]),
            ),
            "\n".join(f"- {_pairs(k)}" for k in c["contrasts"]),
        ]
    return "\n\n".join(parts)


def ends(f: Mapping[str, Any]) -> str:
    """End states of every arm, and final values of its metrics where it has outcomes."""
    states = ("finished", "left", "diverged", "errored")
    parts = [
        "## How settled trials ended, and final values",
        _table(
            ("arm", *states),
            (
                [in_markdown(arm["arm"]), *(str(arm["end_states"][s]) for s in states)]
                for arm in f["arms"]
            ),
        ),
    ]
    finals = [
        [in_markdown(arm["arm"]), name, *(_short(m[k]) for k in ("mean", "lowest", "highest"))]
        for arm in f["arms"]
        for name, m in arm["metrics"].items()
    ]
    if finals:
        parts.append(_table(("arm", "metric", "mean", "lowest", "highest"), finals))
    return "\n\n".join(parts)


def cells(c: Mapping[str, Any]) -> str:
    """Rates of the first cells; nothing where a cell is an arm."""
    if len(c["cells"]) <= len(c["arms"]):
        return ""
    rows = (
        [
            in_markdown(e["arm"]),
            in_markdown(", ".join(f"{k}={v}" for k, v in e["setting"].items())),
            *_numbers(e),
        ]
        for e in c["cells"][:_MOST_CELLS]
    )
    parts = [
        f"## Cells, {rule(c)}",
        _table(("arm", "setting", "successes", "rate", "95 % (Wilson)"), rows),
    ]
    if len(c["cells"]) > _MOST_CELLS:
        parts.append(f"{len(c['cells']) - _MOST_CELLS} more cells stand in the CSV.")
    return "\n\n".join(parts)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _numbers(e: Mapping[str, Any]) -> list[str]:
    found = e["interval"]
    between = f"{percent(found[0])} to {percent(found[1])}" if found else "-"
    rate = percent(e["rate"]) if e["n"] else "not estimable"
    return [f"{e['successes']} / {e['n']}", rate, between]


def _contrast(k: Mapping[str, Any]) -> list[str]:
    found = k["interval"]
    between = f"{points(found[0])} to {points(found[1])}" if found else "-"
    name = f"{in_markdown(k['arm'])} - {in_markdown(k['against'])}"
    return [name, points(k["difference"]), between, p(k["p"])]


def _pairs(k: Mapping[str, Any]) -> str:
    """The paired table as a sentence."""
    arm, against, t = in_markdown(k["arm"]), in_markdown(k["against"]), k["table"]
    phi = "" if k["correlation"] is None else f"; phi {k['correlation']:.2f}"
    label = "" if k["primary"] else " (exploratory)"
    return (
        f"{arm} - {against}{label}, {k['pairs']} pairs: both {t['both']}, only {arm} "
        f"{t['only_a']}, only {against} {t['only_b']}, neither {t['neither']}{phi}"
    )


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

"""The tables of a Markdown report, narrow enough for a terminal of 80 columns."""

from collections.abc import Mapping
from typing import Any

from service.report.harmless import in_markdown
from service.report.layout import between, estimate, number, p_is, table, times
from service.words import p, percent, points, rule, standing

#: rows of the table of cells; the CSV has all of them
_MOST_CELLS = 24


def threshold(c: Mapping[str, Any]) -> str:
    """A criterion: rates of the arms, contrasts, and the pairs that they rest on.

    Before the plan is met, or after a stop, intervals and p are those that hold at any look.
    """
    looking = all(e["interval"] is None for e in c["arms"])
    parts = [
        f"## {rule(c)} ({standing(c)})",
        table(
            ("arm", "successes", "rate", "95 % at any look" if looking else "95 % (Wilson)"),
            ([in_markdown(e["arm"]), *_numbers(e)] for e in c["arms"]),
        ),
    ]
    if c["contrasts"]:
        parts += [
            table(
                (
                    "contrast",
                    "difference (points)",
                    "at any look" if looking else "95 % (paired)",
                    "anytime p" if looking else "p",
                ),
                (_contrast(k, (k["anytime"] or k) if looking else k) for k in c["contrasts"]),
            ),
            "\n".join(f"- {_pairs(k)}" for k in c["contrasts"]),
        ]
    if c["several"]:
        parts.append(_several(c["several"]))
    return "\n\n".join(parts)


def ends(f: Mapping[str, Any]) -> str:
    """End states of every arm, and final values of its metrics where it has outcomes."""
    states = ("finished", "left", "diverged", "errored")
    parts = [
        "## How settled trials ended, and final values",
        table(
            ("arm", *states),
            (
                [in_markdown(arm["arm"]), *(str(arm["end_states"][s]) for s in states)]
                for arm in f["arms"]
            ),
        ),
    ]
    finals = [
        [in_markdown(arm["arm"]), name, *(number(m[k]) for k in ("mean", "lowest", "highest"))]
        for arm in f["arms"]
        for name, m in arm["metrics"].items()
    ]
    if finals:
        parts.append(table(("arm", "metric", "mean", "lowest", "highest"), finals))
    if f["metrics_withheld"]:
        parts.append(f"No final values: {f['metrics_withheld']}.")
    return "\n\n".join(parts)


def cells(c: Mapping[str, Any]) -> str:
    """Rates of the first cells, and the best one; nothing where a cell is an arm."""
    if len(c["cells"]) <= len(c["arms"]):
        return ""
    rows = (
        [in_markdown(e["arm"]), in_markdown(_setting(e)), *_numbers(e)]
        for e in c["cells"][:_MOST_CELLS]
    )
    parts = [
        f"## Cells, {rule(c)}",
        table(("arm", "setting", "successes", "rate", "95 % (Wilson)"), rows),
    ]
    if len(c["cells"]) > _MOST_CELLS:
        parts.append(f"{len(c['cells']) - _MOST_CELLS} more cells stand in the CSV.")
    if c["selected"]:
        parts.append(_selected(c["selected"]))
    return "\n\n".join(parts)


def _setting(e: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in e["setting"].items())


def _selected(e: Mapping[str, Any]) -> str:
    """The best cell, and what its rate is worth."""
    others = f" (as good: {e['as_good']} more)" if e["as_good"] else ""
    return (
        f"Best: **{in_markdown(e['arm'])}** at {in_markdown(_setting(e))}{others}, "
        f"{e['successes']} of {e['n']} = {percent(e['rate'])}: {e['note']} (this setting alone, "
        "under another root)."
    )


def _numbers(e: Mapping[str, Any]) -> list[str]:
    rate = percent(e["rate"]) if e["n"] else "not estimable"
    ends = e["interval"] or e.get("anytime")
    return [f"{e['successes']} / {e['n']}", rate, between(ends, percent)]


def _contrast(k: Mapping[str, Any], said: Mapping[str, Any]) -> list[str]:
    """A contrast's row; `said` has the interval and p, of the whole plan or of this look."""
    name = f"{in_markdown(k['arm'])} - {in_markdown(k['against'])}"
    return [name, points(k["difference"]), between(said["interval"], points), p(said["p"])]


def _pairs(k: Mapping[str, Any]) -> str:
    """The paired table as a sentence, with the ratio, and Holm's p where it is exploratory."""
    arm, against, t = in_markdown(k["arm"]), in_markdown(k["against"]), k["table"]
    if k["not_estimable"]:
        return f"{arm} - {against}: not estimable, because {k['not_estimable']}"
    phi = "" if k["correlation"] is None else f"; phi {k['correlation']:.2f}{_saved(k['saving'])}"
    label = "" if k["primary"] else " (exploratory)"
    ratio = ""
    if k["ratio"] is not None:
        value, ends = estimate(k["ratio"], times)
        ratio = f"; ratio {value} [{ends}]"
    holm = "" if k["holm"] is None else f"; by Holm {p_is(k['holm'])}"
    return (
        f"{arm} - {against}{label}, {k['pairs']} pairs: both {t['both']}, only {arm} "
        f"{t['only_a']}, only {against} {t['only_b']}, neither {t['neither']}{phi}{ratio}{holm}"
    )


def _saved(saving: Mapping[str, Any] | None) -> str:
    if saving is None:
        return ""
    if saving["about_zero"]:
        return " (about zero: pairing neither helped nor harmed)"
    if saving["trials"] == 0:
        return " (below zero: pairing saved nothing)"
    return f" (pairing saved {100 * saving['trials']:.0f} % of the trials)"


def _several(s: Mapping[str, Any]) -> str:
    """All arms at once, and each pair of them; nothing before the plan is met."""
    q = s["cochran_q"]
    if q is None:
        return ""
    said = f"not estimable: {q['reason']}" if q["p"] is None else p_is(q["p"])
    rough = f" ({q['reason']})" if q["p"] is not None and q["reason"] else ""
    rows = (
        [
            f"{in_markdown(k['arm'])} - {in_markdown(k['against'])}",
            points(k["difference"]),
            p(k["p"]),
            p(k["holm"]),
        ]
        for k in s["pairs"]
    )
    all_arms = f"All arms on {s['blocks']} complete blocks (exploratory)"
    return "\n\n".join(
        [
            f"{all_arms}: {q['method']}, {said}{rough}.",
            table(("each pair", "difference (points)", "p", "by Holm"), rows),
        ]
    )

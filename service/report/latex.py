r"""A report as LaTeX: tables with booktabs, as a paper would print them.

The text is ASCII where names are, needs `\usepackage{booktabs}` (and `longtable` for cells), and is
included with `\input`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from service.report.booktabs import escaped, long_table, table
from service.report.build import Report
from service.report.claim import claim, claim_at_any_look
from service.report.headline import extension
from service.report.holds import NOT_VALID, fixed_n_holds
from service.words import e_value, rule, stopped
from service.words import p as p_value

#: rows of a table that fits a page; beyond, cells stand in a longtable
_PAGE_ROWS = 40
_MOST_CELLS = 400


def render_latex(report: Report) -> str:
    """Tables of rates, contrasts and cells, with captions that say n and method."""
    f = report.findings
    primary = next(c for c in f["criteria"] if c["primary"])
    parts = [
        _preamble(report),
        _rates(f),
        _contrasts(f),
        _cells(f, primary),
    ]
    return "\n".join(part for part in parts if part)


def _preamble(report: Report) -> str:
    """Comments cannot end early: a name has no line break once escaped."""
    f = report.findings
    return (
        f"% {escaped(f['spec']['name'])}: findings {report.findings_hash}\n"
        "% needs \\usepackage{booktabs}, \\usepackage{longtable} and \\usepackage{textcomp}\n"
    )


def _rates(f: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    looking = not fixed_n_holds(f)
    for c in f["criteria"]:
        if rows:
            rows.append([])
        head = _rule(c) + _mark(c)
        for i, e in enumerate(c["arms"]):
            ends = e["anytime"] if looking else e["interval"]
            rows.append([head if i == 0 else "", escaped(e["arm"]), *_estimate(e, ends)])
    heading = ["criterion", "arm", "successes", "rate (\\%)", "interval"]
    method = "95 % confidence sequence, which holds at any look" if looking else "Wilson's, 95 %"
    caption = (
        f"Successes of settled trials; {_seeds(f)}; {escaped(f['estimand'])}{_but(f)}. "
        f"{escaped(f'Interval: {method}.')} {_legend(f)}{_missing(_arms(f))}{_extended(f)}"
    )
    return table("llrrr", heading, rows, caption, "rates")


def _contrasts(f: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    said = ""
    looking = not fixed_n_holds(f)
    shown = [k for c in f["criteria"] for k in c["contrasts"]]
    for c in f["criteria"]:
        if rows and c["contrasts"]:
            rows.append([])
        for i, k in enumerate(c["contrasts"]):
            mark = "" if k["primary"] else _mark(c) or r"\textsuperscript{e}"
            t, found = k["table"], (k["anytime"] or {}) if looking else k
            rows.append(
                [
                    _rule(c) if i == 0 else "",
                    f"{escaped(k['arm'])} $-$ {escaped(k['against'])}{mark}",
                    str(k["pairs"]),
                    f"{t['only_a']}/{t['only_b']}",
                    _points(k["difference"]),
                    _between(found.get("interval")),
                    _chance(found.get("p")),
                ]
            )
            if k["primary"] and k["pairs"]:
                said = _claim(f, k)
    if not rows:
        return ""
    of_pairs = _missing((f"{k['arm']} - {k['against']}", k) for k in shown)
    caption = (
        "Paired differences of success rates in percentage points; discordant: pairs in which only "
        f"the first, only the second arm succeeded; {_method(shown, looking=looking)}. "
        f"{_legend(f)}{of_pairs}{said}"
    )
    heading = ["criterion", "contrast", "pairs", "discordant", "difference", "interval", "$p$"]
    return table("llrrrrr", heading, rows, caption, "contrasts")


def _but(f: Mapping[str, Any]) -> str:
    """Criteria that are judged at another moment than the estimand says."""
    first = f["criteria"][0]["at"]
    other = dict.fromkeys(_rule(c) for c in f["criteria"] if c["at"] != first)
    return f" (but {', '.join(other)})" if other else ""


def _method(contrasts: Sequence[Mapping[str, Any]], *, looking: bool) -> str:
    """What intervals and p of contrasts are, and at which level."""
    if not looking:
        return "interval: Newcombe's for paired proportions, 95\\,\\%; $p$: McNemar's exact test"
    levels = {100 * (1 - k["anytime"]["alpha"]): k["primary"] for k in contrasts if k["anytime"]}
    at = ", ".join(
        f"{level:g}\\,\\%" + (" for the primary contrast" if own and len(levels) > 1 else "")
        for level, own in sorted(levels.items(), reverse=True)
    )
    return (
        "interval and $p$ hold at any look (confidence sequence"
        + (f" at {at}" if at else "")
        + ", e-value)"
    )


def _mark(c: Mapping[str, Any]) -> str:
    """What a criterion is not: declared before, or the primary one."""
    if c["primary"]:
        return ""
    return r"\textsuperscript{p}" if c["post_hoc"] else r"\textsuperscript{e}"


def _legend(f: Mapping[str, Any]) -> str:
    """What the marks of a table mean."""
    said = "\\textsuperscript{e}~exploratory, unadjusted."
    later = any(c["post_hoc"] for c in f["criteria"])
    return said + (" \\textsuperscript{p}~added after the first outcome." if later else "")


def _claim(f: Mapping[str, Any], k: Mapping[str, Any]) -> str:
    """What carries a claim; nothing before there is one."""
    plan = f["plan"]
    if plan["settled_cohorts"] < plan["cohorts"] and plan["stopped"] is None:
        return ""
    if fixed_n_holds(f):
        return " " + escaped(claim(k, k["arm"]))
    evidence = f" Its e-value is {e_value(k['anytime']['log_e'])}."
    return " " + escaped(claim_at_any_look(k, k["arm"]) + evidence)


def _cells(f: Mapping[str, Any], c: Mapping[str, Any]) -> str:
    if len(c["cells"]) <= len(c["arms"]):
        return ""
    keys = list(f["spec"]["grid"])
    rows = [
        [escaped(e["arm"]), *(escaped(e["setting"][k]) for k in keys), *_estimate(e, e["interval"])]
        for e in c["cells"][:_MOST_CELLS]
    ]
    more = len(c["cells"]) - len(rows)
    left = f" {more} more cells stand in the CSV." if more > 0 else ""
    held = "No interval holds at this look."
    if any(e["interval"] for e in c["cells"]):
        held = "Interval: Wilson's, 95 %" + ("." if fixed_n_holds(f) else f"; {NOT_VALID}.")
    caption = (
        f"Successes by cell, {_rule(c)}; {_seeds(f)}. {escaped(held)}{left}"
        f"{_missing(('some cells', e) for e in c['cells'])}"
    )
    heading = ["arm", *map(escaped, keys), "successes", "rate (\\%)", "interval"]
    columns = "l" + "r" * (len(heading) - 1)
    make = table if len(rows) <= _PAGE_ROWS else long_table
    return make(columns, heading, rows, caption, "cells")


def _estimate(e: Mapping[str, Any], ends: Sequence[float] | None) -> list[str]:
    if not e["n"]:
        return ["0/0", "not estimable", "--"]
    between = f"{100 * ends[0]:.1f}--{100 * ends[1]:.1f}" if ends else "--"
    return [f"{e['successes']}/{e['n']}", f"{100 * e['rate']:.1f}", between]


def _arms(f: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every arm's name and estimate, at every criterion."""
    return ((e["arm"], e) for c in f["criteria"] for e in c["arms"])


def _missing(found: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Why what is not estimable is not, each reason once."""
    whose: dict[str, list[str]] = {}
    for name, e in found:
        if e["not_estimable"]:
            whose.setdefault(e["not_estimable"], []).append(name)
    return "".join(
        escaped(f" Not estimable ({', '.join(dict.fromkeys(names))}): {why}.")
        for why, names in whose.items()
    )


def _between(ends: Sequence[float] | None) -> str:
    return "--" if ends is None else f"$[{100 * ends[0]:+.1f},\\ {100 * ends[1]:+.1f}]$"


def _points(value: float | None) -> str:
    return "not estimable" if value is None else f"${100 * value:+.1f}$"


def _chance(value: float | None) -> str:
    return "--" if value is None else f"${p_value(value)}$"


def _rule(c: Mapping[str, Any]) -> str:
    """As everywhere else, with LaTeX's signs."""
    signs = {escaped("<="): r"$\leq$", escaped(">="): r"$\geq$"}
    said = escaped(rule(c))
    for plain, sign in signs.items():
        said = said.replace(plain, sign)
    return said


def _seeds(f: Mapping[str, Any]) -> str:
    plan = f["plan"]
    if plan["stopped"] is not None:
        return escaped(f"{stopped(plan['stopped'], plan['cohorts'])}: {_settled(plan)}")
    whole = plan["settled_cohorts"] == plan["cohorts"]
    return f"{plan['seeds']} seeds a cell" if whole else _settled(plan)


def _settled(plan: Mapping[str, Any]) -> str:
    return f"{plan['settled_seeds']} of {plan['seeds']} seeds a cell are settled"


def _extended(f: Mapping[str, Any]) -> str:
    """How a sweep was extended, and what its first plan said at its declared n."""
    if "extensions" not in f:
        return ""
    by = "; then ".join(extension(e, str) for e in f["extensions"])
    first, rule_of_stop = f["first_plan"], f["spec"].get("stop") or {"when": ()}
    said = f" The sweep was extended: {by}."
    if first is None or "evidence" in rule_of_stop["when"]:
        return escaped(said)
    c = next((c for c in first["criteria"] if c["primary"]), first["criteria"][0])
    rates = ", ".join(
        f"{e['arm']} {e['successes']}/{e['n']}{_percents(e['interval'])}" for e in c["arms"]
    )
    tests = "".join(
        f"; {k['arm']} - {k['against']} {100 * k['difference']:+.1f} points, p {p_value(k['p'])}"
        for k in c["contrasts"][:1]
        if k["p"] is not None
    )
    return escaped(
        f"{said} At the first plan, {first['seeds']} seeds a cell, when it was met (fixed n: "
        f"Wilson, McNemar; frozen): {rates}{tests}."
    )


def _percents(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f} %)"

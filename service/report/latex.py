r"""A report as LaTeX: tables with booktabs, as a paper would print them.

The text is ASCII where names are, needs `\usepackage{booktabs}` (and `longtable` for cells), and is
included with `\input`.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.report.build import Report
from service.report.claim import claim, claim_at_any_look
from service.words import p as p_value

#: rows of a table that fits a page; beyond, cells stand in a longtable
_PAGE_ROWS = 40
_MOST_CELLS = 400
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after \\ it would begin a length
    "]": "{]}",
    "*": "{*}",  # after \\ it would be its star
}


#: signs that a font would draw as one, such as -- as a dash
_LIGATURE = re.compile(r"([-,'?!])(?=[-,'])")


def escaped(value: object) -> str:
    """Text that LaTeX prints as it is; control characters are left out."""
    kept = (c for c in str(value) if unicodedata.category(c)[0] != "C" or c == " ")
    return _LIGATURE.sub(r"\1{}", "".join(_SPECIAL.get(c, c) for c in kept))


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
    for c in f["criteria"]:
        if rows:
            rows.append([])
        head = _rule(c) + _mark(c)
        for i, e in enumerate(c["arms"]):
            rows.append([head if i == 0 else "", escaped(e["arm"]), *_estimate(e)])
    heading = ["criterion", "arm", "successes", "rate (\\%)", "95\\,\\% interval"]
    return _table(
        "llrrr",
        heading,
        rows,
        f"Successes of settled trials; {_seeds(f)}; {escaped(f['estimand'])}. {_interval(f)} "
        f"{_legend(f)}",
        "rates",
    )


def _contrasts(f: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    said = ""
    for c in f["criteria"]:
        if rows and c["contrasts"]:
            rows.append([])
        for i, k in enumerate(c["contrasts"]):
            mark = "" if k["primary"] else _mark(c) or r"\textsuperscript{e}"
            t = k["table"]
            rows.append(
                [
                    _rule(c) if i == 0 else "",
                    f"{escaped(k['arm'])} $-$ {escaped(k['against'])}{mark}",
                    str(k["pairs"]),
                    f"{t['only_a']}/{t['only_b']}",
                    _points(k["difference"]),
                    _between(_ends(k)),
                    _chance(k),
                ]
            )
            if k["primary"] and k["pairs"]:
                said = _claim(f, k)
    if not rows:
        return ""
    whole = f["plan"]["complete"]
    method = (
        "interval: Newcombe's for paired proportions; $p$: McNemar's exact test"
        if whole
        else "interval and $p$ hold at any look (confidence sequence, e-value)"
    )
    caption = (
        "Paired differences of success rates in percentage points; discordant: pairs in which only "
        f"the first, only the second arm succeeded; {method}. "
        f"{_legend(f)}{said}"
    )
    heading = ["criterion", "contrast", "pairs", "discordant", "difference", "95\\,\\%", "$p$"]
    return _table("llrrrrr", heading, rows, caption, "contrasts")


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
    if plan["claim_by"] == "fixed_n":
        return " " + escaped(claim(k, k["arm"]))
    return " " + escaped(claim_at_any_look(k, k["arm"]))


def _cells(f: Mapping[str, Any], c: Mapping[str, Any]) -> str:
    if len(c["cells"]) <= len(c["arms"]):
        return ""
    keys = list(f["spec"]["grid"])
    rows = [
        [escaped(e["arm"]), *(escaped(e["setting"][k]) for k in keys), *_estimate(e)]
        for e in c["cells"][:_MOST_CELLS]
    ]
    more = len(c["cells"]) - len(rows)
    left = f" {more} more cells stand in the CSV." if more > 0 else ""
    caption = f"Successes by cell, {_rule(c)}; {_seeds(f)}. {_interval(f, cells=True)}{left}"
    heading = ["arm", *map(escaped, keys), "successes", "rate (\\%)", "95\\,\\% interval"]
    columns = "l" + "r" * (len(heading) - 1)
    make = _table if len(rows) <= _PAGE_ROWS else _long
    return make(columns, heading, rows, caption, "cells")


def _estimate(e: Mapping[str, Any]) -> list[str]:
    if not e["n"]:
        return ["0/0", "not estimable", "--"]
    ends = e["interval"] or e.get("anytime")
    between = f"{100 * ends[0]:.1f}--{100 * ends[1]:.1f}" if ends else "--"
    return [f"{e['successes']}/{e['n']}", f"{100 * e['rate']:.1f}", between]


def _ends(k: Mapping[str, Any]) -> Sequence[float] | None:
    found = k["interval"] or (k["anytime"] or {}).get("interval")
    return None if found is None else list(found)


def _between(ends: Sequence[float] | None) -> str:
    return "--" if ends is None else f"$[{100 * ends[0]:+.1f},\\ {100 * ends[1]:+.1f}]$"


def _points(value: float | None) -> str:
    return "not estimable" if value is None else f"${100 * value:+.1f}$"


def _chance(k: Mapping[str, Any]) -> str:
    value = k["p"] if k["p"] is not None else (k["anytime"] or {}).get("p")
    text = p_value(value)
    return "--" if value is None else f"${text}$"


def _rule(c: Mapping[str, Any]) -> str:
    sign = r"$\leq$" if c["comparison"] == "at_most" else r"$\geq$"
    return f"{escaped(c['metric'])} {sign} {escaped(format(c['threshold'], 'g'))}"


def _seeds(f: Mapping[str, Any]) -> str:
    plan = f["plan"]
    if plan["complete"]:
        return f"{plan['seeds']} seeds a cell"
    return f"{plan['settled_seeds']} of {plan['seeds']} seeds a cell are settled"


def _interval(f: Mapping[str, Any], *, cells: bool = False) -> str:
    every = [e for c in f["criteria"] for e in c["cells" if cells else "arms"]]
    if any(e["interval"] for e in every):
        return "Interval: Wilson."
    return "No interval holds at this look." if cells else "Interval: confidence sequence."


def _table(
    columns: str, heading: Sequence[str], rows: Iterable[Sequence[str]], caption: str, label: str
) -> str:
    return "\n".join(
        [
            "\\begin{table}[t]",
            "  \\centering",
            f"  \\caption{{{caption}}}",
            f"  \\label{{tab:seedbed-{label}}}",
            f"  \\begin{{tabular}}{{{columns}}}",
            "    \\toprule",
            f"    {' & '.join(heading)} \\\\",
            "    \\midrule",
            *(_row(row) for row in rows),
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def _long(
    columns: str, heading: Sequence[str], rows: Iterable[Sequence[str]], caption: str, label: str
) -> str:
    """A table that goes on over pages."""
    return "\n".join(
        [
            f"\\begin{{longtable}}{{{columns}}}",
            f"  \\caption{{{caption}}}\\label{{tab:seedbed-{label}}} \\\\",
            "    \\toprule",
            f"    {' & '.join(heading)} \\\\",
            "    \\midrule",
            "    \\endhead",
            "    \\bottomrule",
            "    \\endlastfoot",
            *(_row(row) for row in rows),
            "\\end{longtable}",
            "",
        ]
    )


def _row(row: Sequence[str]) -> str:
    """An empty row is a rule between groups."""
    return f"    {' & '.join(row)} \\\\" if row else "    \\midrule"

"""Reports for people (Markdown) and for spreadsheets (CSV)."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from models.catalog import experiments
from service.report.build import Report

_MOST_CELLS = 24


def render_markdown(report: Report) -> str:
    """A page that says what was found first, and how sure it is."""
    f = report.findings
    primary = next((c for c in f["criteria"] if c["primary"]), f["criteria"][0])
    parts = [
        f"# {f['spec']['name']}",
        _headline(f, primary),
        _setup(f),
        *(_threshold(c) for c in f["criteria"]),
        _ends(f),
        _cells(primary),
        _notes(f),
        _run_log(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _pct(value: float | None, digits: int = 1) -> str:
    return "not estimable" if value is None else f"{100 * value:.{digits}f} %"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"


def _rate(e: Mapping[str, Any]) -> str:
    if e["n"] == 0:
        return "not estimable (no settled trial)"
    ends = e["interval"]
    between = f" [{_pct(ends[0])}, {_pct(ends[1])}]" if ends else ""
    return f"{e['successes']} of {e['n']} = {_pct(e['rate'])}{between}"


def _rule(c: Mapping[str, Any]) -> str:
    sign = "<=" if c["comparison"] == "at_most" else ">="
    return f"{c['metric']} {sign} {c['threshold']:g}"


def _p(p: float | None) -> str:
    if p is None:
        return "-"
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}"  # noqa: PLR2004 - the last digit shown


def _headline(f: Mapping[str, Any], c: Mapping[str, Any]) -> str:
    plan = f["plan"]
    rates = "; ".join(f"**{e['arm']}** {_rate(e)}" for e in c["arms"])
    lines = [f"Success is {_rule(c)}: {rates}."]
    if c["contrasts"]:
        k = c["contrasts"][0]
        if k["interval"]:
            low, high = k["interval"]
            lines.append(
                f"**{k['arm']}** against **{k['against']}** on {k['pairs']} pairs: difference "
                f"{_points(k['difference'])} points, 95 % interval [{_points(low)}, "
                f"{_points(high)}], exact McNemar {_p(k['p'])} ({k['sided']}-sided)."
            )
            lines.append(_claim(k))
        else:
            lines.append(f"Interim: {plan['no_intervals']}.")
    if not plan["complete"]:
        lines.append(
            f"Only {plan['settled_seeds']} of {plan['seeds']} seeds a cell are settled; "
            "counts and rates are of those."
        )
    return "\n".join(lines)


def _claim(k: Mapping[str, Any]) -> str:
    if k["bounds_allow_other_sign"]:
        return "**No claim**: the outcomes that are missing could turn the sign of the difference."
    low, high = k["interval"]
    if low > 0:
        return f"The interval lies above zero: {k['arm']} succeeds more often."
    if high < 0:
        return f"The interval lies below zero: {k['arm']} succeeds less often."
    return "The interval holds zero: no difference is shown."


def _setup(f: Mapping[str, Any]) -> str:
    spec, plan = f["spec"], f["plan"]
    return (
        f"{spec['experiment']}; {len(spec['arms'])} arms x "
        f"{plan['cells'] // len(spec['arms'])} settings x {plan['seeds']} seeds = "
        f"{plan['trials']} trials; {f['estimand']}; root `{spec['root']}`."
    )


def _threshold(c: Mapping[str, Any]) -> str:
    label = " (primary)" if c["primary"] else " (exploratory)"
    rows = [
        f"## {_rule(c)}{label}",
        "",
        "| arm | successes | rate | 95 % interval (Wilson) |",
        "|---|---|---|---|",
    ]
    for e in c["arms"]:
        ends = e["interval"]
        between = f"{_pct(ends[0])} to {_pct(ends[1])}" if ends else "-"
        rows.append(f"| {e['arm']} | {e['successes']} / {e['n']} | {_pct(e['rate'])} | {between} |")
    if c["contrasts"]:
        rows += [
            "",
            (
                "| contrast | difference (points) | 95 % interval (Newcombe, paired) | "
                "exact McNemar | both / only first / only second / neither | phi |"
            ),
            "|---|---|---|---|---|---|",
        ]
    for k in c["contrasts"]:
        t, ends = k["table"], k["interval"]
        between = f"{_points(ends[0])} to {_points(ends[1])}" if ends else "-"
        phi = "-" if k["correlation"] is None else f"{k['correlation']:.2f}"
        name = f"{k['arm']} - {k['against']}" + ("" if k["primary"] else " (exploratory)")
        rows.append(
            f"| {name} | {_points(k['difference'])} | {between} | {_p(k['p'])} | "
            f"{t['both']} / {t['only_a']} / {t['only_b']} / {t['neither']} | {phi} |"
        )
    return "\n".join(rows)


def _ends(f: Mapping[str, Any]) -> str:
    rows = [
        "## How trials ended, and final values",
        "",
        "| arm | finished | left | diverged | errored | metric | mean | lowest | highest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arm in f["arms"]:
        e = arm["end_states"]
        ends = f"{e['finished']} | {e['left']} | {e['diverged']} | {e['errored']}"
        for name, m in arm["metrics"].items():
            numbers = " | ".join(
                "-" if m[k] is None else f"{m[k]:.4g}" for k in ("mean", "lowest", "highest")
            )
            rows.append(f"| {arm['arm']} | {ends} | {name} | {numbers} |")
    return "\n".join(rows)


def _cells(c: Mapping[str, Any]) -> str:
    if len(c["cells"]) <= len(c["arms"]):
        return ""
    rows = [
        f"## Cells, {_rule(c)}",
        "",
        "| arm | setting | successes | rate | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for e in c["cells"][:_MOST_CELLS]:
        setting = ", ".join(f"{k}={v}" for k, v in e["setting"].items())
        ends = e["interval"]
        between = f"{_pct(ends[0])} to {_pct(ends[1])}" if ends else "-"
        rows.append(
            f"| {e['arm']} | {setting} | {e['successes']} / {e['n']} | "
            f"{_pct(e['rate'])} | {between} |"
        )
    if len(c["cells"]) > _MOST_CELLS:
        rows.append(f"\n{len(c['cells']) - _MOST_CELLS} more cells stand in the CSV.")
    return "\n".join(rows)


def _notes(f: Mapping[str, Any]) -> str:
    notes = [
        (
            "Only the primary contrast is confirmatory; everything else is exploratory and "
            "unadjusted. Diverged trials are failures."
        )
    ]
    if f["plan"]["cells"] > len(f["spec"]["arms"]):
        notes.append("The pooled test's null is that the arms are equal in every cell.")
    experiment = experiments().get(f["spec"]["experiment"])
    if experiment is not None and experiment.data(experiment.resolve(f["spec"]["fixed"])):
        notes.append("All trials share one fixed test set: the claim is about that test set.")
    missing = [k for c in f["criteria"] for k in c["contrasts"] if c["primary"] and k["primary"]]
    for k in missing:
        if any(k["incomplete_pairs"].values()):
            low, high = k["bounds"]
            notes.append(
                f"{sum(k['incomplete_pairs'].values())} pairs miss an outcome; whatever those "
                f"were, the difference lies between {_points(low)} and {_points(high)} points."
            )
    return "\n".join(f"- {note}" for note in notes)


def _run_log(report: Report) -> str:
    log = report.run_log
    took = f"{log['seconds']:.0f} s" if log["seconds"] is not None else "not ended"
    classes = ", ".join(c["id"] for c in log["numerics_classes"]) or "none yet"
    return (
        f"Findings `{report.findings_hash}`\n\n"
        f"Run log (not hashed): sweep {log['sweep']}, {log['state']}, {took}; "
        f"{log['trials_tried_again']} trials tried again; numerics class {classes}."
    )


def render_csv(report: Report) -> str:
    """One row per criterion and cell: settled counts, rate and interval."""
    f = report.findings
    keys = list(f["spec"]["grid"])
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "metric",
            "comparison",
            "threshold",
            "primary",
            "arm",
            *keys,
            "successes",
            "n",
            "rate",
            "low",
            "high",
            "finished",
            "left",
            "diverged",
            "errored",
        ]
    )
    for c in f["criteria"]:
        for e in c["cells"]:
            low, high = e["interval"] or (None, None)
            ends = e["end_states"]
            writer.writerow(
                [
                    c["metric"],
                    c["comparison"],
                    c["threshold"],
                    int(c["primary"]),
                    _text(e["arm"]),
                    *(_text(e["setting"][k]) for k in keys),
                    e["successes"],
                    e["n"],
                    e["rate"],
                    low,
                    high,
                    ends["finished"],
                    ends["left"],
                    ends["diverged"],
                    ends["errored"],
                ]
            )
    return out.getvalue()


def _text(value: object) -> object:
    """Names that a spreadsheet would run as a formula are kept as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value

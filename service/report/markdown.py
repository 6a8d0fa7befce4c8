"""Reports for people: a page of Markdown that fits a terminal of 80 columns."""

from collections.abc import Mapping
from typing import Any

from service.report.build import Report
from service.report.harmless import in_markdown
from service.report.headline import headline
from service.report.in_full import in_full, restarts
from service.report.metric_tables import metric, times
from service.report.tables import cells, ends, threshold
from service.report.trail import render_audit
from service.words import duration, points, rule


def render_markdown(report: Report) -> str:
    """A page that says what was found first, and how sure it is."""
    f = report.findings
    primary = primary_of(f)
    parts = [
        f"# {in_markdown(f['spec']['name'])}",
        headline(f, primary),
        _setup(f),
        *(threshold(c) for c in f["criteria"]),
        restarts(primary),
        *(in_full(k) for k in primary["contrasts"] if k["primary"]),
        *(times(c) for c in f["criteria"]),
        ends(f),
        *(metric(m) for m in f["metrics"]),
        cells(primary),
        _notes(report),
        _run_log(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def primary_of(f: Mapping[str, Any]) -> Mapping[str, Any]:
    """The criterion that a report is about: the primary one, or the first."""
    found: Mapping[str, Any] = next((c for c in f["criteria"] if c["primary"]), f["criteria"][0])
    return found


def _setup(f: Mapping[str, Any]) -> str:
    spec, plan = f["spec"], f["plan"]
    return (
        f"{spec['experiment']}; {len(spec['arms'])} arms x "
        f"{plan['cells'] // len(spec['arms'])} settings x {plan['seeds']} seeds = "
        f"{plan['trials']} trials; {f['estimand']}{_but(f)}; root `{spec['root']}`."
    )


def _but(f: Mapping[str, Any]) -> str:
    """Criteria that are judged at another moment than the estimand says."""
    first = f["criteria"][0]["at"]
    other = dict.fromkeys(rule(c) for c in f["criteria"] if c["at"] != first)
    return f" (but {', '.join(other)})" if other else ""


def _diverged(f: Mapping[str, Any]) -> str:
    """What a trial that diverged counts as: it depends on when a criterion is judged."""
    said = {
        "end": "is a failure",
        "any": "is judged by its evaluations before that",
    }
    moments = {"end": "judged at the end", "any": "judged at any evaluation"}
    at = list(dict.fromkeys(c["at"] for c in f["criteria"]))
    if len(at) == 1:
        return f"A trial that diverged {said[at[0]]}."
    each = ", and ".join(f"{said[x]} where success is {moments[x]}" for x in at)
    return f"A trial that diverged {each}."


def _notes(report: Report) -> str:
    f = report.findings
    notes = [
        (
            "Only the primary contrast is confirmatory. Everything else is exploratory: its "
            "intervals and p are unadjusted, but for Holm's p, over all exploratory contrasts of "
            f"this report. {_diverged(f)}"
        ),
        (
            "Intervals: Wilson's of a rate (exact: Clopper & Pearson's), Newcombe's of a paired "
            "difference (method 10); p: McNemar's exact test. Unpaired: as if the arms had other "
            "seeds. What holds at any look: mixtures over alternatives (Robbins "
            "1970), the difference's by bets of fixed size (Waudby-Smith & Ramdas 2024)."
        ),
    ]
    if f["plan"]["complete"] and f["plan"]["claim_by"] == "anytime":
        notes.append(
            "A rule might have stopped this sweep at any cohort, so the claim is carried by what "
            "holds at any look; fixed-n intervals and p are not valid after stopping."
        )
    if f["plan"]["cells"] > len(f["spec"]["arms"]):
        notes.append("The pooled test's null is that the arms are equal in every cell.")
    if report.data:
        names = " and ".join(report.data)
        notes.append(
            f"Trials are judged on a fixed test set ({names}): the claim is about that test set."
        )
    missing = [k for c in f["criteria"] for k in c["contrasts"] if c["primary"] and k["primary"]]
    for k in missing:
        if any(k["incomplete_pairs"].values()):
            low, high = k["bounds"]
            notes.append(
                f"{sum(k['incomplete_pairs'].values())} pairs miss an outcome; whatever those "
                f"were, the difference lies between {points(low)} and {points(high)} points."
            )
    return "\n".join(f"- {note}" for note in notes)


def _run_log(report: Report) -> str:
    log = report.run_log
    took = f"{log['seconds']:.0f} s" if log["seconds"] is not None else "not ended"
    classes = ", ".join(c["id"] for c in log["numerics_classes"]) or "none yet"
    return (
        f"Findings `{report.findings_hash}`\n\n"
        f"Bundle `{log['bundle_hash']}`: spec, outcomes and findings, to be cited and checked "
        f"(`seedbed export {log['sweep']}`)\n\n"
        f"Run log (not hashed): sweep {log['sweep']}, {log['state']}, {took}; "
        f"{log['trials_tried_again']} trials tried again; numerics class {classes}. "
        f"{_devices(report)}\n\n"
        f"{render_audit(log)}"
    )


def _devices(report: Report) -> str:
    """What it took of devices, and a success of each arm at the primary criterion."""
    hours, tried = report.run_log["device_hours"], report.run_log["trials_claimed"]
    if not hours:
        return ""
    restarts = {
        in_markdown(e["arm"]): (e["restarts_per_success"] or {}).get("value")
        for e in primary_of(report.findings)["arms"]
    }
    trial_s = 3600 * hours / tried
    costs = [f"{arm} {_took(trial_s * n)}" for arm, n in restarts.items() if n is not None]
    each = f"; a success took {', '.join(costs)} of one device" if costs else ""
    return f"At most {_took(3600 * hours)} of one device in all{each}."


def _took(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else duration(seconds)  # noqa: PLR2004 - two digits

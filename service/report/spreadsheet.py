"""Reports for spreadsheets: CSV."""

import csv
import io

from service.report.build import Report
from service.report.harmless import in_spreadsheet
from service.report.holds import fixed_n_holds

_ENDS = ("finished", "left", "diverged", "errored")
_ENDPOINTS = ("low", "high", "exact_low", "exact_high")


def render_csv(report: Report) -> str:
    """One row per criterion and cell: settled counts, rate, Wilson's interval and the exact one.

    `intervals_hold` is 1 where these intervals are valid, and 0 where there are none, or a stop
    rule might have ended the sweep earlier.
    `selected` is 1 where the cell is the best of its criterion, whose rate is too high on average.
    """
    f = report.findings
    keys = list(f["spec"]["grid"])
    rule = ("metric", "comparison", "threshold", "at", "primary", "version", "post_hoc")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            *rule,
            "arm",
            *keys,
            "successes",
            "n",
            "rate",
            *_ENDPOINTS,
            "intervals_hold",
            "selected",
            *_ENDS,
        ]
    )
    for c in f["criteria"]:
        best = c["selected"] or {"arm": None, "setting": None}
        for e in c["cells"]:
            writer.writerow(
                [
                    c["metric"],
                    c["comparison"],
                    c["threshold"],
                    c["at"],
                    int(c["primary"]),
                    c["version"],
                    int(c["post_hoc"]),
                    in_spreadsheet(e["arm"]),
                    *(in_spreadsheet(e["setting"][k]) for k in keys),
                    e["successes"],
                    e["n"],
                    e["rate"],
                    *(e["interval"] or (None, None)),
                    *(e["exact_interval"] or (None, None)),
                    int(fixed_n_holds(f) and e["interval"] is not None),
                    int((e["arm"], e["setting"]) == (best["arm"], best["setting"])),
                    *(e["end_states"][state] for state in _ENDS),
                ]
            )
    return out.getvalue()

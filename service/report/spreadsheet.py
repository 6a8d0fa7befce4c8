"""Reports for spreadsheets: CSV."""

import csv
import io

from service.report.build import Report
from service.report.harmless import in_spreadsheet

_ENDS = ("finished", "left", "diverged", "errored")


def render_csv(report: Report) -> str:
    """One row per criterion and cell: settled counts, rate and interval."""
    f = report.findings
    keys = list(f["spec"]["grid"])
    rule = ("metric", "comparison", "threshold", "at", "primary", "version", "post_hoc")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*rule, "arm", *keys, "successes", "n", "rate", "low", "high", *_ENDS])
    for c in f["criteria"]:
        for e in c["cells"]:
            low, high = e["interval"] or (None, None)
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
                    low,
                    high,
                    *(e["end_states"][state] for state in _ENDS),
                ]
            )
    return out.getvalue()

"""What a report said at its declared n when its first plan was met: frozen, and kept apart.

After an extension fixed-n intervals and tests are not valid any more (STATISTICS.md 5.5): what they
said at the one moment that was declared stays, as it was.
"""

from collections.abc import Mapping
from typing import Any

from service.report.build import Report

_OF_PLAN = ("seeds", "cells", "trials")
_OF_RULE = ("metric", "comparison", "threshold", "at", "primary", "version", "post_hoc")


def frozen(report: Report) -> dict[str, Any] | None:
    """The part of a report that its declared n carries; None unless a first plan is met."""
    f = report.findings
    if not f["plan"]["complete"]:
        return None
    return {
        "findings_hash": report.findings_hash,
        "outcomes_hash": f["outcomes_hash"],
        **{key: f["plan"][key] for key in _OF_PLAN},
        "criteria": [_criterion(c) for c in f["criteria"]],
    }


def _criterion(c: Mapping[str, Any]) -> dict[str, Any]:
    return {key: c[key] for key in (*_OF_RULE, "arms", "contrasts")}

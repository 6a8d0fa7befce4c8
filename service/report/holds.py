"""Whether what fixed-n methods say may be said of findings."""

from collections.abc import Mapping
from typing import Any

#: of an interval or p that stands although a stop rule might have ended the sweep earlier
NOT_VALID = "not valid after stopping, as a rule might have stopped this sweep at any cohort"


def fixed_n_holds(findings: Mapping[str, Any]) -> bool:
    """Whether the plan was met, and neither a stop rule nor an extension could choose its end."""
    plan = findings["plan"]
    return bool(plan["complete"]) and plan["claim_by"] == "fixed_n"

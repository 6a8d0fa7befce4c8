"""Workers that were excluded from a sweep, as JSON and in words, and the audit's page beside it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from service.report.harmless import in_markdown
from service.store import exclusion
from service.words import moment


def exclusion_json(found: exclusion.Exclusion) -> dict[str, Any]:
    """Who, when, why, and what became of the trials."""
    return {
        "worker": found.worker,
        "reason": found.reason,
        "excluded_at": found.excluded_at.isoformat(),
        "trials": found.trials,
        "equal": found.equal,
        "different": found.different,
        "pending": found.pending,
        "without_outcome": found.without_outcome,
    }


def trail(session: Session, sweep: str) -> list[dict[str, Any]]:
    """What a run log says of exclusions."""
    return [exclusion_json(e) for e in exclusion.trail(session, sweep)]


def render_audit(log: Mapping[str, Any]) -> str:
    """The audit and the exclusions of a run log in Markdown."""
    found = log["audit"]
    title = "**Audit**" if found["flags"] else "Audit"
    lines = [f"- {in_markdown(flag['says'])}" for flag in found["flags"]]
    lines += [f"- {in_markdown(says(gone))}" for gone in log["exclusions"]]
    parts = [f"{title}: {in_markdown(found['conclusion'])}", "\n".join(lines)]
    return "\n\n".join(part for part in parts if part)


def says(gone: Mapping[str, Any]) -> str:
    """One exclusion in a sentence."""
    again = f"{gone['equal']} came out the same elsewhere, {gone['different']} otherwise"
    pending = f", {gone['pending']} are not settled again" if gone["pending"] else ""
    none = gone["without_outcome"]
    nothing = f", {none} have no outcome to compare, before or now" if none else ""
    return (
        f"worker {gone['worker']} was excluded on {moment(gone['excluded_at'])} "
        f'("{gone["reason"]}"): of its {gone["trials"]} trials {again}{nothing}{pending}'
    )

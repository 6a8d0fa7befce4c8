"""Reports as JSON, Markdown and CSV."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from service.api.state import Reading
from service.errors import ProblemError
from service.report.audit import audit_of
from service.report.build import build
from service.report.markdown import render_markdown
from service.report.spreadsheet import render_csv

router = APIRouter(tags=["report"])

LATER = ("latex", "parquet", "html", "svg", "png")


@router.get("/sweeps/{sweep}/report")
def report(sweep: str, session: Reading, format: str = "json") -> Response:  # noqa: A002 - the agreed name
    """The report as it stands: complete, or of the cohorts that are settled."""
    if format in LATER:
        raise ProblemError(
            501, f"reports as {format} are not built yet", "use json, markdown or csv"
        )
    if format not in ("json", "markdown", "csv"):
        raise ProblemError(
            422, f"there is no report format {format!r}", "use json, markdown or csv"
        )
    found = build(session, sweep)
    if format == "markdown":
        return PlainTextResponse(render_markdown(found), media_type="text/markdown")
    if format == "csv":
        return PlainTextResponse(render_csv(found), media_type="text/csv")
    body: dict[str, Any] = {
        "findings": found.findings,
        "findings_hash": found.findings_hash,
        "run_log": found.run_log,
    }
    return JSONResponse(body)


@router.get("/sweeps/{sweep}/audit")
def audit(sweep: str, session: Reading) -> dict[str, Any]:
    """Whether the place where a trial ran tells if it succeeded: flags, and all that was compared.

    Over settled cohorts, at the primary criterion.
    """
    return audit_of(session, sweep)

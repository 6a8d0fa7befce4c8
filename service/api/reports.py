"""Reports in every format: what is read on a screen, printed in a paper, or computed with."""

# ruff: noqa: PLC0415 - figures, Parquet and pages are imported where one asks for them

import tempfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from sqlalchemy.orm import Session

from service.api import shapes
from service.api.description import refusal
from service.api.state import Reading
from service.errors import ProblemError
from service.report.audit import audit_of
from service.report.build import Report, build
from service.report.markdown import render_markdown
from service.report.spreadsheet import render_csv
from service.store.plans import plan_of

router = APIRouter(tags=["report"])

#: format -> media type and the ending of a file's name
FORMATS = {
    "json": ("application/json", "json"),
    "markdown": ("text/markdown", "md"),
    "csv": ("text/csv", "csv"),
    "latex": ("application/x-tex", "tex"),
    "html": ("text/html", "html"),
    "svg": ("image/svg+xml", "svg"),
    "png": ("image/png", "png"),
    "parquet": ("application/vnd.apache.parquet", "parquet"),
    "bundle": ("application/zip", "zip"),
}
#: shown by a browser; the others are saved
_SHOWN = ("json", "markdown", "html", "svg", "png")
_PICTURES = ("svg", "png")
_DEFAULT_FIGURE = "rates"
_CHUNK = 1 << 20
#: a page and a picture have their styles within, and may load nothing
_ALONE = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


_REPORT = {
    "model": shapes.Report,
    "content": {media: {} for media, _ in FORMATS.values() if media != "application/json"},
}


@router.get("/sweeps/{sweep}/report", responses={200: _REPORT, 409: refusal(409)})
def report(
    sweep: str,
    session: Reading,
    format: str = "json",  # noqa: A002 - the agreed name
    figure: str | None = None,
) -> Response:
    """The report as it stands: complete, or of the cohorts that are settled.

    `format`: json, markdown, csv, latex, html, svg, png, parquet (outcomes, a row a trial) or
    bundle (a zip of all of these that says how to check it). `figure`, of svg and png: which.
    """
    if format not in FORMATS:
        raise ProblemError(
            422, f"there is no report format {format!r}", f"use one of {', '.join(FORMATS)}"
        )
    if figure is not None and format not in _PICTURES:
        raise ProblemError(
            422,
            f"a report as {format} takes no figure; given was {figure!r}",
            "drop figure, or ask for svg or png",
        )
    headers = _headers(sweep, format, figure or _DEFAULT_FIGURE)
    media_type = FORMATS[format][0]
    if format == "parquet":
        plan = plan_of(session, sweep)
        return _streamed(lambda file: _outcomes(session, sweep, plan, file), media_type, headers)
    found = build(session, sweep)
    headers |= _hashes(found)
    if format == "bundle":
        from service.report.bundle.build import write_bundle

        return _streamed(
            lambda file: write_bundle(session, sweep, found, file), media_type, headers
        )
    if format == "json":
        body: dict[str, Any] = {
            "findings": found.findings,
            "findings_hash": found.findings_hash,
            "run_log": found.run_log,
        }
        return JSONResponse(body, headers=headers)
    content = _rendered(session, sweep, found, format, figure or _DEFAULT_FIGURE)
    return Response(content, media_type=media_type, headers=headers)


@router.get("/sweeps/{sweep}/audit", responses={200: {"model": shapes.Audit}})
def audit(sweep: str, session: Reading) -> dict[str, Any]:
    """Whether the place where a trial ran tells if it succeeded: flags, and all that was compared.

    Over settled cohorts, at the primary criterion.
    """
    return audit_of(session, sweep)


def _rendered(session: Session, sweep: str, found: Report, wanted: str, figure: str) -> str | bytes:
    if wanted == "markdown":
        return render_markdown(found)
    if wanted == "csv":
        return render_csv(found)
    if wanted == "latex":
        from service.report.latex import render_latex

        return render_latex(found)
    if wanted == "html":
        from service.report.figures.catalogue import every, gather
        from service.report.page.build import render_html

        return render_html(found, list(every(gather(session, sweep, found.findings))))
    return _picture(session, sweep, found, wanted, figure)


def _picture(session: Session, sweep: str, found: Report, wanted: str, name: str) -> str | bytes:
    """One figure.

    Raises:
        ProblemError: 422, there is none of this name; 409, this sweep does not have it.
    """
    from service.report.figures import catalogue, draw
    from service.report.figures.figure import NotDrawn

    if name not in catalogue.NAMES:
        names = ", ".join(catalogue.NAMES)
        raise ProblemError(422, f"there is no figure {name!r}", f"use one of {names}")
    drawn = catalogue.figure(name, catalogue.gather(session, sweep, found.findings))
    if isinstance(drawn, NotDrawn):
        detail = f"figure {name!r} is not drawn of this sweep: {drawn.reason}"
        raise ProblemError(409, detail, "ask for another figure, such as rates")
    return draw.svg(drawn, titled=True) if wanted == "svg" else draw.png(drawn)


def _outcomes(session: Session, sweep: str, plan: Any, file: BinaryIO) -> None:
    from service.report.outcomes import write_outcomes

    write_outcomes(session, sweep, plan, file)


def _headers(sweep: str, wanted: str, figure: str) -> dict[str, str]:
    """What the file is called, and for those with styles what they may load."""
    part = f"-{figure}" if wanted in _PICTURES and figure.isalnum() else ""
    name = f"seedbed-{sweep}{part}.{FORMATS[wanted][1]}"
    how = "inline" if wanted in _SHOWN else "attachment"
    headers = {"Content-Disposition": f'{how}; filename="{name}"'}
    if wanted in ("html", "svg"):
        headers["Content-Security-Policy"] = _ALONE
    return headers


def _hashes(found: Report) -> dict[str, str]:
    return {
        "X-Seedbed-Findings": found.findings_hash,
        "X-Seedbed-Bundle": str(found.run_log["bundle_hash"]),
    }


def _streamed(
    write: Callable[[BinaryIO], None], media_type: str, headers: dict[str, str]
) -> StreamingResponse:
    """A file that is written before the reply begins, and sent without being held in memory."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed once it is sent
    try:
        write(file)
    except BaseException:
        file.close()
        raise
    headers["Content-Length"] = str(file.seek(0, 2))
    file.seek(0)

    def chunks() -> Iterator[bytes]:
        with file:
            while chunk := file.read(_CHUNK):
                yield chunk

    return StreamingResponse(chunks(), media_type=media_type, headers=headers)

"""Writes a bundle: a zip with sorted names and no times, its outcomes streamed."""

import hashlib
import json
import shutil
import tempfile
import zipfile
from typing import BinaryIO

from sqlalchemy.orm import Session

from service.report.build import Report
from service.report.bundle.manifest import SUMS, hashed_files, sums
from service.report.figures.catalogue import every, gather
from service.report.figures.draw import png, svg
from service.report.latex import render_latex
from service.report.markdown import render_markdown
from service.report.outcomes import write_outcomes
from service.report.page.build import render_html
from service.report.spreadsheet import render_csv
from service.store.plans import plan_of

#: the first moment that a zip can name
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20


def write_bundle(session: Session, sweep: str, report: Report, target: BinaryIO) -> None:
    """Writes a sweep's bundle as it stands.

    Args:
        session: the one that the report was built in, which sees the store at one moment.
        sweep: its id.
        report: its report.
        target: what is written to.
    """
    figures = list(every(gather(session, sweep, report.findings)))
    files = hashed_files(report.findings)
    shown = {
        "cells.csv": render_csv(report).encode(),
        "report.html": render_html(report, figures).encode(),
        "report.md": render_markdown(report).encode(),
        "report.tex": render_latex(report).encode(),
    }
    for figure in figures:
        shown[f"figures/{figure.name}.svg"] = svg(figure, titled=True).encode()
        shown[f"figures/{figure.name}.png"] = png(figure)
    with tempfile.TemporaryFile() as outcomes, zipfile.ZipFile(target, "w") as bundle:
        write_outcomes(session, sweep, plan_of(session, sweep), outcomes)
        others = {name: hashlib.sha256(content).hexdigest() for name, content in shown.items()}
        outcomes.seek(0)
        others["outcomes.parquet"] = hashlib.file_digest(outcomes, "sha256").hexdigest()
        log = {**report.run_log, "files": others}
        files |= shown | {
            SUMS: sums(report.findings),
            "run.json": (json.dumps(log, indent=1, sort_keys=True) + "\n").encode(),
        }
        for name in sorted([*files, "outcomes.parquet"]):
            entry = _entry(name)
            if name in files:
                bundle.writestr(entry, files[name])
            else:
                outcomes.seek(0)
                with bundle.open(entry, "w", force_zip64=True) as place:
                    shutil.copyfileobj(outcomes, place, _CHUNK)


def _entry(name: str) -> zipfile.ZipInfo:
    """What is compressed already is stored as it is."""
    entry = zipfile.ZipInfo(name, _NO_TIME)
    packed = name.endswith((".parquet", ".png"))
    entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    return entry

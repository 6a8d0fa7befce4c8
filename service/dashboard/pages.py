"""Pages and their fragments; they read counters, so the number of trials costs nothing."""

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from service.api.state import Reading
from service.api.views import sweep_json
from service.report.build import build
from service.store import sweeps
from service.store.progress import progress
from service.store.tables import ENDED_SWEEPS

router = APIRouter(include_in_schema=False)

_PAGE = 50


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"


def _rule(criterion: Any) -> str:
    sign = "≤" if criterion["comparison"] == "at_most" else "≥"
    return f"{criterion['metric']} {sign} {criterion['threshold']:g}"


_templates = Environment(
    loader=PackageLoader("service.dashboard"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {"duration": _duration, "points": _points, "rule": _rule}
_templates.globals |= {"percent": _percent}


def render(template: str, **values: Any) -> HTMLResponse:
    """A template as a response."""
    return HTMLResponse(_templates.get_template(template).render(**values))


def install(app: FastAPI) -> None:
    """Adds pages and static files to an application."""
    app.include_router(router)
    folder = files("service.dashboard") / "static"
    app.mount("/static", StaticFiles(directory=str(folder)), name="static")


@router.get("/")
def index(session: Reading) -> HTMLResponse:
    """All sweeps, newest first."""
    return render("index.html", sweeps=_list(session))


@router.get("/fragments/sweeps")
def index_fragment(session: Reading) -> HTMLResponse:
    """The part of the list that changes."""
    return render("_sweeps.html", sweeps=_list(session))


@router.get("/sweeps/{sweep}")
def show(sweep: str, session: Reading) -> HTMLResponse:
    """One sweep."""
    return render("sweep.html", **_one(session, sweep))


@router.get("/fragments/sweeps/{sweep}")
def show_fragment(sweep: str, session: Reading) -> HTMLResponse:
    """The part of a sweep's page that changes."""
    return render("_sweep.html", **_one(session, sweep))


def _list(session: Reading) -> list[dict[str, Any]]:
    found = sweeps.page(session, after=None, limit=_PAGE)
    return [sweep_json(v, progress(session, v.id), with_spec=False) for v in found]


def _one(session: Reading, sweep: str) -> dict[str, Any]:
    view = sweep_json(sweeps.show(session, sweep), progress(session, sweep))
    findings = None
    if view["state"] in ENDED_SWEEPS:
        report = build(session, sweep)
        findings = {
            "hash": report.findings_hash,
            "criteria": report.findings["criteria"],
            "complete": report.findings["plan"]["complete"],
        }
    return {
        "sweep": view,
        "progress": view["progress"],
        "findings": findings,
        "live": view["state"] not in ENDED_SWEEPS,
    }

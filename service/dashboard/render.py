"""Templates and static files, read once; everything that a template prints is escaped."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service import words
from service.access.principal import STRANGER, Principal
from service.report.claim import claim, claim_at_any_look

_HERE = Path(__file__).parent
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_environment = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals.update(
    claim=claim,
    claim_at_any_look=claim_at_any_look,
    stopped=words.stopped,
    stop_rule=words.stop_rule,
    silent=words.silent,
    rule=words.rule,
    heading=words.heading,
    standing=words.standing,
    duration=words.duration,
    eta=words.eta,
)
_environment.filters.update(
    moment=words.moment,
    percent=words.percent,
    points=words.points,
    p=words.p,
    e_value=words.e_value,
)


@dataclass(frozen=True)
class File:
    """A static file; `tag` changes with its content."""

    content: bytes
    media_type: str
    tag: str


def _read(path: Path) -> File:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return File(content, _MEDIA_TYPES[path.suffix], tag)


STATIC = {
    path.name: _read(path)
    for path in sorted((_HERE / "static").iterdir())
    if path.suffix in _MEDIA_TYPES
}


def render(
    template: str, status: int = 200, *, who: Principal = STRANGER, **content: Any
) -> HTMLResponse:
    """A page; `who` is logged in, if anybody is."""
    return HTMLResponse(text(template, who=who, **content), status)


def text(template: str, **content: Any) -> str:
    """A template filled in.

    Raises:
        jinja2.UndefinedError: it names something that was not given.
    """
    return _environment.get_template(template).render(content)

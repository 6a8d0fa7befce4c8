"""Figures as SVG and PNG, drawn offline by vl-convert: equal figures give equal bytes.

Equal within a version of vl-convert and the fonts of a machine, which measure its text.
"""

import re
import textwrap

import vl_convert

from service.report.figures.figure import Figure
from service.report.figures.palette import theme

#: characters of a caption's line inside a picture
_LINE = 84
_ID = re.compile(r"\b(?:clip|gradient)_?\d+\b")


def svg(figure: Figure, *, titled: bool) -> str:
    """A picture that scales.

    Args:
        figure: what to draw.
        titled: whether title and caption stand in the picture; a page says them beside it.
    """
    spec = figure.chart | {"config": theme()}
    if titled:
        lines = textwrap.wrap(figure.caption.replace(" %", "\u00a0%"), _LINE)
        spec["title"] = {"text": figure.title, "subtitle": lines}
    drawn: str = vl_convert.vegalite_to_svg(spec)
    return _named(drawn, figure.name)


def png(figure: Figure) -> bytes:
    """A picture of dots, at twice the size of the SVG, with title and caption."""
    drawn: bytes = vl_convert.svg_to_png(svg(figure, titled=True), scale=2)
    return drawn


def _named(drawn: str, name: str) -> str:
    """With ids that depend on the figure alone; Vega numbers them through a process's life."""
    known: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        return known.setdefault(found[0], f"{name}-{len(known)}")

    return re.sub(
        r'(?:id="|url\(#)[^")]*',
        lambda place: _ID.sub(named, place[0]),
        drawn,
    )

"""Colours that the colour-blind can tell apart, and one theme for all figures.

Okabe & Ito (2008, "Color Universal Design"); its yellow is too pale for lines on white. Past seven
arms the colours come again with other dashes.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

INK = "#1f2421"
QUIET = "#656c67"
#: of a contrast, which is no arm's
EVIDENCE = "#5b4a9c"
_LINE = "#e2e3de"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ([1, 0], [6, 3], [2, 2])
#: arms that lines can tell apart
MOST_ARMS = len(_COLOURS) * len(_DASHES)
#: width of the plot of every figure, in pixels
WIDTH = 440
#: a font that has the widths of Arial and Helvetica wherever it is replaced by them
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"

_BASE: dict[str, Any] = {
    "font": FONT,
    "background": "white",
    "padding": 12,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "labelLimit": 180,
        "gridColor": _LINE,
        "domainColor": QUIET,
        "tickColor": QUIET,
    },
    "axisX": {"labelFlush": False},
    "axisY": {"titlePadding": 12},  # where another font is wider
    "legend": {
        "title": None,
        "orient": "top",
        "direction": "horizontal",
        "columns": 3,
        "labelColor": INK,
        "labelFontSize": 11,
        "labelLimit": 160,
        "symbolStrokeWidth": 3,
        "symbolType": "stroke",
        "symbolOpacity": 1,
    },
    "header": {
        "title": None,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelFontWeight": "bold",
        "labelAnchor": "start",
        "labelLimit": 420,
        "labelOrient": "top",
        "labelPadding": 4,
    },
    "title": {
        "color": INK,
        "subtitleColor": QUIET,
        "fontSize": 14,
        "subtitleFontSize": 11,
        "subtitleLineHeight": 15,
        "subtitlePadding": 6,
        "anchor": "start",
        "frame": "bounds",
        "offset": 14,
    },
}


def theme() -> dict[str, Any]:
    """The configuration of every figure."""
    return _BASE


def arm_colour(names: Sequence[str], *, legend: bool = True) -> alt.Color:
    """Arm by colour, the same in every figure of a sweep."""
    scale = alt.Scale(
        domain=list(names), range=[_COLOURS[i % len(_COLOURS)] for i in range(len(names))]
    )
    shown: Any = alt.Legend() if legend else None
    return alt.Color("arm:N", scale=scale, legend=shown)


def arm_dash(names: Sequence[str]) -> alt.StrokeDash:
    """Arm by dash, for those whose colour comes again."""
    dashes = [_DASHES[(i // len(_COLOURS)) % len(_DASHES)] for i in range(len(names))]
    return alt.StrokeDash("arm:N", scale=alt.Scale(domain=list(names), range=dashes))

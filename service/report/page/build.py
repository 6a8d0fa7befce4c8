"""The page: the Markdown report with its figures, in one file that opens anywhere.

What a name holds is escaped twice over: Markdown's markup where the report prints it, HTML's by the
renderer; raw HTML, links and images are switched off, and the page forbids itself to load anything.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

from service.report.build import Report
from service.report.figures.draw import svg
from service.report.figures.figure import Figure
from service.report.markdown import render_markdown

_HERE = Path(__file__).parent
#: figures that stand at the top, before the tables
_FIRST = ("rates", "difference")
#: characters from which on a cell of a table is a sentence, and may be broken into lines
_LONG = re.compile(r"<td>(?=[^<]{34})")


def render_html(report: Report, figures: Sequence[Figure]) -> str:
    """The report as a page; its size is bounded, since its tables and figures are."""
    head, _, rest = render_markdown(report).partition("\n## ")
    drawn = [(figure, svg(figure, titled=False)) for figure in figures]
    return (
        _environment()
        .get_template("report.html")
        .render(
            name=report.findings["spec"]["name"],
            style=(_HERE / "report.css").read_text(),
            head=_html(head),
            first=[item for item in drawn if item[0].name in _FIRST],
            rest=_html("## " + rest if rest else ""),
            more=[item for item in drawn if item[0].name not in _FIRST],
        )
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


@cache
def _renderer() -> MarkdownIt:
    off = ("image", "link", "autolink", "html_inline", "html_block", "reference", "entity")
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable(list(off))


def _html(text: str) -> str:
    """HTML of Markdown, with tables that scroll by themselves on a narrow screen."""
    drawn: str = _renderer().render(text)
    drawn = _LONG.sub('<td class="long">', drawn)
    return re.sub(r"(<table>.*?</table>)", r'<div class="scroll">\1</div>', drawn, flags=re.DOTALL)

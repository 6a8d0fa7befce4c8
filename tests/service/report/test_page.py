"""The report as a page: one file that loads nothing and runs nothing."""

import re
from html.parser import HTMLParser

import pytest
from sqlalchemy import Engine

from service.report.figures.catalogue import every
from service.report.page.build import render_html
from service.store.engine import session_factory
from tests.service.report.swept import ANY, Sessions, finished, material
from tests.service.report.test_findings import create
from tests.service.samples import outcome


def page(sessions: Sessions, sweep: str) -> str:
    """A sweep's page."""
    report, found = material(sessions, sweep)
    return render_html(report, list(every(found)))


class Tags(HTMLParser):
    """Gathers tags and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_page_has_the_report_and_all_figures(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = finished(sessions, **ANY)
    report, found = material(sessions, sweep)
    text = render_html(report, list(every(found)))
    assert report.findings_hash in text
    assert report.run_log["bundle_hash"] in text
    assert "the outcomes that are missing could undo it." in text
    names = [figure.name for figure in every(found)]
    assert re.findall(r'<figure id="figure-(\w+)">', text) == names
    assert text.count("<svg") == len(names) == 7
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert text.count('<div class="scroll"><table>') == text.count("<table>") > 3


def test_the_page_loads_nothing_and_runs_nothing(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    text = page(sessions, finished(sessions, **ANY))
    tags = Tags()
    tags.feed(text)
    assert not tags.names & {"script", "link", "img", "iframe", "object", "base", "a", "image"}
    assert not tags.attributes & {"src", "href", "srcset", "xlink:href", "action"}
    assert not {a for a in tags.attributes if a.startswith("on")}
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    assert "default-src 'none'" in text


@pytest.mark.parametrize(
    "evil",
    [
        "</style><script>alert(1)</script>",
        "![x](http://evil/x.png) [y](javascript:alert(1))",
        '"><img src=x onerror=alert(1)>',
        "<https://evil>",
    ],
)
def test_names_are_text(sqlite: Engine, evil: str) -> None:
    sessions = session_factory(sqlite)
    arms = {"plain": {"noise_eta": 0.0}, evil: {"noise_eta": 0.01}}
    primary = {"arm": evil, "against": "plain"}
    text = page(sessions, finished(sessions, outcome, name=evil, arms=arms, primary=primary))
    tags = Tags()
    tags.feed(text)
    assert not tags.names & {"script", "img", "a"}
    assert not tags.attributes & {"src", "href", "onerror"}


def test_a_page_of_nothing_settled_has_no_figure(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    text = page(sessions, create(sessions))
    assert "<figure" not in text
    assert "More figures" not in text
    assert "not estimable" in text


def test_a_page_of_many_arms_and_thresholds_is_below_2_mb(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    arms = {f"eta-{i}": {"noise_eta": i / 1000} for i in range(64)}
    limits = [0.5 + i / 100 for i in range(10)]
    success = {"metric": "test_accuracy", "at_least": 0.5, "report_at": limits}
    sweep = finished(sessions, outcome, arms=arms, success=success, primary=None)
    assert len(page(sessions, sweep).encode()) < 2_000_000

"""The dashboard in a real browser: it refreshes itself and runs no foreign script."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright
from sqlalchemy import Engine

from service.access.principal import Scope
from service.client import Client
from service.store import keys
from service.store.engine import session_factory
from tests.service.samples import CHEAP, moment, outcome, spec
from tests.service.serving import Served, serving

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
expect.set_options(timeout=60_000)


@pytest.fixture
def browser_page(page: Page) -> Iterator[Page]:
    """A page of headless Chromium; whatever it complains about fails the test."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    yield page
    assert complaints == []


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of headless Chromium."""
    if not CHROMIUM.exists():
        why = "no /usr/bin/chromium: THE DASHBOARD WAS NOT LOOKED AT; apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture
def keyed(sqlite: Engine, tmp_path: Path) -> Iterator[Served]:
    """The application with keys on."""
    with serving(sqlite, tmp_path, auth="keys") as found:
        yield found


def test_a_person_logs_in_looks_and_logs_out(keyed: Served, sqlite: Engine, page: Page) -> None:
    """By the pages' own forms, in a real browser that keeps their policy."""
    with session_factory(sqlite).begin() as session:
        key = keys.create(
            session, name="n", owner="sue", scope=Scope.SUBMIT, now=moment(), hasher=CHEAP
        )[1]
    with Client(keyed.url, key=key) as client:
        sweep = client.submit(spec())["id"]
    page.goto(f"{keyed.url}/sweeps/{sweep}")
    page.fill("#key", "sb_mistyped")
    page.keyboard.press("Enter")
    expect(page.locator("[role=alert]")).to_contain_text("no API key")
    page.fill("#key", key)
    page.click("button")
    expect(page).to_have_url(f"{keyed.url}/sweeps/{sweep}")
    expect(page.locator(".status")).to_contain_text("0 of 24 trials ended")
    page.goto(keyed.url)
    page.click("text=Mine")
    expect(page.locator(".name")).to_contain_text("small")
    expect(page.locator(".sweeps")).to_contain_text("by sue")
    page.click("text=Log out")
    expect(page).to_have_url(f"{keyed.url}/login")
    assert page.goto(keyed.url).status == 401  # type: ignore[union-attr]


def submit(served: Served, **changes: object) -> str:
    with Client(served.url) as client:
        primary = {"arm": "noisy", "against": "plain"}
        found: str = client.submit(spec(primary=primary, **changes))["id"]
        return found


def test_a_sweep_refreshes_itself_to_its_findings_without_a_reload(
    served: Served, browser_page: Page
) -> None:
    sweep = submit(served)
    browser_page.goto(f"{served.url}/sweeps/{sweep}")
    browser_page.evaluate("window.sameDocument = true")
    expect(browser_page.locator(".status")).to_contain_text("0 of 24 trials ended")
    served.train(9)
    expect(browser_page.locator(".status")).to_contain_text("9 of 24 trials ended")
    expect(browser_page.locator(".rates")).to_contain_text("%")
    served.train_all(lambda task: outcome(task, 0.95 if task.values["noise_eta"] else 0.1))
    expect(browser_page.locator(".headline")).to_contain_text("points")
    assert browser_page.evaluate("window.sameDocument") is True


def test_a_page_is_told_and_asks_only_when_it_is_not(served: Served, browser_page: Page) -> None:
    """One stream a page, let go of with it; a service without a place for it is asked."""
    sweep = submit(served)

    def never_by_itself(route: Route) -> None:
        text = route.fetch().text()
        assert "PERIOD_MS = 2000" in text
        route.fulfill(
            body=text.replace("PERIOD_MS = 2000", "PERIOD_MS = 600000"),
            content_type="text/javascript",
        )

    browser_page.route("**/refresh.js", never_by_itself)
    asked: list[str] = []
    browser_page.on("request", lambda request: asked.append(request.url))
    browser_page.goto(f"{served.url}/sweeps/{sweep}")
    expect(browser_page.locator("#live")).to_have_text("live")
    with browser_page.expect_request(re.compile("/fragments/")):
        served.train(9)
    expect(browser_page.locator(".status")).to_contain_text("9 of 24 trials ended")
    assert len([url for url in asked if url.endswith("/events")]) == 1
    served.train_all()
    expect(browser_page.locator(".status")).to_contain_text("24 of 24")
    expect(browser_page.locator("#live")).to_be_hidden()


def test_a_page_without_a_stream_says_so_and_goes_on(
    sqlite: Engine, tmp_path: Path, page: Page
) -> None:
    with serving(sqlite, tmp_path, streams=0) as served:
        sweep = submit(served)
        page.goto(f"{served.url}/sweeps/{sweep}")
        served.train(9)
        expect(page.locator(".status")).to_contain_text("9 of 24 trials ended")
        expect(page.locator("#live")).to_have_text("not live: asking every 2 s")


def test_a_new_sweep_appears_in_an_open_list(served: Served, browser_page: Page) -> None:
    browser_page.goto(served.url)
    expect(browser_page.locator("main")).to_contain_text("No sweeps yet")
    submit(served, name="<script>document.title = 'taken over'</script>")
    expect(browser_page.locator(".name")).to_contain_text("taken over")
    expect(browser_page).to_have_title(re.compile("^Sweeps"))


def test_bars_are_as_long_as_the_share_that_ended(served: Served, browser_page: Page) -> None:
    sweep = submit(served)
    served.train(6)
    browser_page.goto(f"{served.url}/sweeps/{sweep}")
    widths = """() => [".arrived", ".track"].map(
        (name) => document.querySelector(".arms .bar " + name).getBoundingClientRect().width)"""
    done, track = browser_page.evaluate(widths)  # at one moment: the page refreshes itself
    assert done / track == pytest.approx(3 / 12, abs=0.01)

"""The page in a real browser, by what a reader sees of it; and what must hold at any time.

No request leaves for another origin, the console is silent, the content policy has nothing to
report, and axe finds nothing that is serious.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from tests.browser import CHROMIUM, origin_of
from tests.node import FOLDER, install
from tests.waiting import PATIENCE

pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    expect,
    sync_playwright,
)

__all__ = ["MARKS", "VIOLATIONS", "Locator", "Screen", "chromium", "expect"]

MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]
FLAGS = (
    "--no-sandbox",  # needs rights that root in a container has not
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
)
VIOLATIONS = """window.violations = [];
  addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
    violations.push(`${violatedDirective} ${blockedURI}`));"""
AXE = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 300)).join(" | ")}`)"""

expect.set_options(timeout=PATIENCE * 1000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser of this machine; nothing is downloaded."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@cache
def axe() -> str:
    install()
    return (FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text()


class Screen:
    """One tab with the page in it."""

    def __init__(self, tab: Page, url: str) -> None:
        self.tab, self.url = tab, url
        self.expected = re.compile(r"(?!)")
        """What the console may say all the same, such as that a killed service is away."""
        self._foreign: list[str] = []
        self._console: list[str] = []
        tab.set_default_timeout(PATIENCE * 1000)
        tab.add_init_script(VIOLATIONS)
        tab.on("request", lambda request: self._asked(request.url))
        tab.on("console", self._said)
        tab.on("pageerror", lambda error: self._console.append(str(error)))

    def go(self, place: str = "") -> None:
        """Open a place, `now` or `talk/THREAD`, with the whole page loaded anew."""
        self.tab.goto("about:blank")
        self.tab.goto(f"{self.url}/#/{place}")

    def check(self) -> None:
        """What must hold at any time."""
        assert self._foreign == []
        assert [said for said in self._console if not self.expected.search(said)] == []
        assert self.tab.evaluate("violations") == []
        self.tab.evaluate(axe())
        assert self.tab.evaluate(AXE) == []

    def fits(self) -> bool:
        """Whether nothing has to be scrolled sideways."""
        wide: bool = self.tab.evaluate(
            """() => [document.documentElement, ...document.querySelectorAll("main, nav.side")]
              .every((each) => each.scrollWidth <= each.clientWidth)"""
        )
        return wide

    def choose_graph(self, name: str) -> None:
        self.tab.get_by_label("Graph or assistant").select_option(label=name)

    def say(self, words: str) -> None:
        """Write a message and send it, by the keyboard."""
        self.tab.get_by_label("Message", exact=True).fill(words)
        self.tab.get_by_label("Message", exact=True).press("Enter")

    @property
    def log(self) -> Locator:
        return self.tab.get_by_role("log")

    def shows(self, *texts: str | re.Pattern[str]) -> None:
        """Wait until all of it stands in the conversation."""
        for text in texts:
            expect(self.log.get_by_text(text, exact=isinstance(text, str)).first).to_be_visible()

    def answered(self, words: str) -> None:
        """Wait until the newest answer is these words, and whole."""
        expect(self.answer(-1).locator(".markdown")).to_have_text(words)
        self.done()

    def done(self) -> None:
        expect(self.log).to_have_attribute("aria-busy", "false")

    def answer(self, number: int) -> Locator:
        return self.log.locator("article.ai").nth(number)

    @property
    def thread(self) -> str:
        """The thread that it shows."""
        expect(self.tab).to_have_url(re.compile("#/(talk|graph)/."))
        return self.tab.url.split("/")[-1]

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.tab.get_by_role("button", name=name)

    def place(self, name: str) -> None:
        """Go to one of the four places by its link."""
        places = self.tab.get_by_role("navigation", name="Places")
        places.get_by_role("link", name=name, exact=True).click()

    def _asked(self, url: str) -> None:
        if origin_of(url) not in {origin_of(self.url), "about://", "blob://"}:
            self._foreign.append(url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._console.append(f"{message.text} ({message.location.get('url')})")

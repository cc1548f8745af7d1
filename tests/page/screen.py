"""The page in a real browser, by what a reader sees of it; and what must hold at any time.

No request leaves for another origin, the console is silent, the content policy has nothing to
report, and axe finds nothing that is serious.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest

from tests.browser import CHROMIUM, origin_of
from tests.node import FOLDER, install
from tests.waiting import PATIENCE

pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    expect,
    sync_playwright,
)

__all__ = ["MARKS", "VIOLATIONS", "WIDE", "Locator", "Screen", "Tabs", "chromium", "expect"]

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

WIDE = {"width": 1280, "height": 800}

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

    def __init__(self, tab: Page) -> None:
        self.tab = tab
        self.begin("")
        tab.set_default_timeout(PATIENCE * 1000)
        tab.add_init_script(VIOLATIONS)
        tab.on("request", lambda request: self._asked(request.url))
        tab.on("console", self._said)
        tab.on("pageerror", lambda error: self._console.append(str(error)))

    def begin(self, url: str) -> None:
        """Be the page of this service, of which nothing was seen yet."""
        self.url = url
        self.expected = re.compile(r"(?!)")
        """What the console may say all the same, such as that a killed service is away."""
        self._foreign: list[str] = []
        self._console: list[str] = []

    def leave(self) -> None:
        """Leave the page, and keep nothing of it but the process."""
        if self._is_here():
            self.tab.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
            self.tab.goto(f"{self.url}/ok")  # of the same site: another one has another process
        else:
            self.tab.goto("about:blank")

    def go(self, place: str = "") -> None:
        """Open a place, `now` or `talk/THREAD`, with the whole page loaded anew."""
        if self._is_here():
            self.tab.goto(f"{self.url}/ok")
        self.tab.goto(f"{self.url}/#/{place}")

    def _is_here(self) -> bool:
        return origin_of(self.tab.url) == origin_of(self.url)

    def check(self) -> None:
        """What must hold at any time."""
        assert self._foreign == []
        assert [said for said in self._console if not self.expected.search(said)] == []
        assert self.tab.evaluate("violations") == []
        assert self.tab.evaluate("document.querySelectorAll('link[rel=icon]').length") == 1
        if not self.tab.evaluate("'axe' in window"):
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
        url = message.location.get("url", "")
        # Chromium asks for an icon of `/ok`; that our page has its own, `check` sees.
        if message.type in {"error", "warning"} and not url.endswith("/favicon.ico"):
            self._console.append(f"{message.text} ({url})")


class Tabs:
    """The tabs of a browser. One of each language is kept for the tests that follow.

    A new one, with a process of its own that compiles the page anew, takes longer than most tests.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: dict[str, Screen] = {}
        self._taken: list[Screen] = []
        self._own: list[Screen] = []

    def open(
        self,
        url: str,
        *,
        locale: str = "en-US",
        color_scheme: Any = "light",
        viewport: dict[str, int] | None = None,
        own: bool = False,
    ) -> Screen:
        """Take the kept tab, or another one where a test has taken that, or wants its `own`."""
        kept = self._kept.get(locale)
        if kept is not None and kept not in self._taken and not own:
            screen = kept
        else:
            screen = Screen(self._browser.new_context(locale=locale).new_page())
        if not own and kept is None:
            self._kept[locale] = screen
        (self._taken if screen is self._kept.get(locale) else self._own).append(screen)
        wide, high = (viewport or WIDE).values()
        screen.tab.set_viewport_size({"width": wide, "height": high})
        screen.tab.emulate_media(color_scheme=color_scheme)
        screen.begin(url)
        return screen

    @contextmanager
    def page(self, url: str, place: str = "", **look: Any) -> Iterator[Screen]:
        """Open the page of a service that may end behind the block."""
        screen = self.open(url, **look)
        screen.go(place)
        try:
            yield screen
        finally:
            self.leave()

    def leave(self) -> None:
        """Leave all pages, before their services end."""
        for each in self._own:
            each.tab.context.close()
        for each in self._taken:
            try:
                each.leave()
            except Error:  # a page without its service cannot be left for the next one
                each.tab.context.close()
                self._kept = {at: kept for at, kept in self._kept.items() if kept is not each}
        self._own, self._taken = [], []

    @property
    def screens(self) -> list[Screen]:
        """What a test has opened."""
        return [*self._taken, *self._own]

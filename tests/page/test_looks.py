"""Two languages, both themes, a phone, and the keyboard alone."""

import re
from typing import Any

import pytest

from tests.page.conftest import Open, Stage
from tests.page.screen import MARKS, WIDE, Screen, Tabs, expect
from tests.provider import Fault, Reply, ToolCall

pytestmark = MARKS

# The focus has an outline; the field of a message is in a frame that shows it.
IS_SHOWN = """() => document.activeElement.closest(".composer") !== null
  || getComputedStyle(document.activeElement).outlineStyle !== 'none'"""

PHONE = {"width": 375, "height": 700}
MAIL = ToolCall("send_mail", {"to": "ada", "text": "hello"})


@pytest.fixture(scope="module")
def full(shared_stage: Stage) -> str:
    """A thread with a failed model, a table, code, and a call that waits."""
    text = "| a | b |\n|---|---|\n| 1 | 2 |\n\n```\n" + "x = 1; " * 40 + "\n```\n" + "long" * 40
    cut = Fault("cut", reply=Reply("one two three four"), after=3)
    shared_stage.provider.script("model-a", cut, Reply(tool_calls=[MAIL]))
    shared_stage.provider.script("model-b", text)
    client = shared_stage.client
    thread = str(client.post("/threads", json={}).json()["thread_id"])
    for words in ("hello", "write to ada"):
        run = {"assistant_id": "agent", "input": {"messages": words}}
        client.post(f"/threads/{thread}/runs/wait", json=run).raise_for_status()
    return thread


# Each two of a scheme, a language and a size meet; what three would show, two of them do.
LOOKS = [
    ("light", "en-US", PHONE),
    ("dark", "ko-KR", PHONE),
    ("dark", "en-US", WIDE),
    ("light", "ko-KR", WIDE),
]


@pytest.mark.parametrize(("scheme", "language", "viewport"), LOOKS)
def test_every_place_fits_and_is_accessible(
    tabs: Tabs,
    shared_stage: Stage,
    full: str,
    scheme: str,
    language: str,
    viewport: dict[str, int],
) -> None:
    look = {"color_scheme": scheme, "locale": language, "viewport": viewport}
    with tabs.page(shared_stage.url, f"talk/{full}", **look) as screen:
        fits_everywhere(screen, full, language)


def fits_everywhere(screen: Screen, full: str, language: str) -> None:
    waits = "A tool call waits for you" if language == "en-US" else "승인이 필요한 도구 호출"
    expect(screen.tab.get_by_role("region", name=waits)).to_be_visible()
    assert screen.fits()
    screen.check()
    for place, shown in (("graph", ".graph-node"), ("now", ".now-table"), ("threads", "a.thread")):
        screen.tab.evaluate(f"() => (location.hash = '#/{place}/{full}')")
        expect(screen.tab.locator(shown).first).to_be_visible()
        assert screen.fits(), place
        screen.check()


def test_korean(open_page: Open, stage: Stage) -> None:
    screen = open_page(locale="ko-KR")
    tab = screen.tab
    expect(tab.locator("html")).to_have_attribute("lang", "ko")
    tab.get_by_label("메시지", exact=True).fill("6*7 을 계산해")
    tab.get_by_role("button", name="보내기").click()
    screen.answered("The result is 42.")
    expect(screen.answer(-1)).to_contain_text("도구 1건")
    for name, heading in (("현황", "최근 15분"), ("그래프", "agent"), ("대화 목록", "대화 목록")):
        tab.get_by_role("navigation", name="화면").get_by_role("link", name=name).click()
        expect(tab.get_by_role("heading", name=heading).first).to_be_visible()
    tab.get_by_role("button", name="English").click()
    expect(tab.get_by_role("heading", name="Threads")).to_be_visible()
    tab.reload()
    expect(tab.get_by_role("heading", name="Threads")).to_be_visible()


def test_the_theme_is_the_systems_until_another_is_chosen(open_page: Open) -> None:
    screen = open_page(color_scheme="dark")
    expect(screen.tab.locator("html")).to_have_attribute("data-theme", "dark")
    screen.button("Light").click()
    screen.tab.reload()
    expect(screen.tab.locator("html")).to_have_attribute("data-theme", "light")


class Keys:
    """A reader who has a keyboard and no mouse."""

    def __init__(self, screen: Screen) -> None:
        self.tab = screen.tab

    def at(self) -> str:
        """What the focus is on, as it is called."""
        name: str = self.tab.evaluate(
            """() => { const at = document.activeElement;
              return at?.getAttribute("aria-label") || at?.innerText || at?.id || ""; }"""
        )
        return name

    def to(self, name: str, key: str = "Tab") -> None:
        """Press the key until the focus is on something of this name."""
        seen = []
        for _ in range(120):
            seen.append(self.at())
            if re.search(name, seen[-1]):
                assert self.tab.evaluate(IS_SHOWN), f"nothing shows that the focus is on {name}"
                return
            self.tab.keyboard.press(key)
        raise AssertionError(f"{name} is not among {seen}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)


def test_the_keyboard_alone_is_enough(open_page: Open, stage: Stage) -> None:
    stage.provider.script("model-a", Reply(tool_calls=[MAIL]), "Done.")
    screen = open_page()
    keys = Keys(screen)
    keys.to("^Message$")
    screen.tab.keyboard.type("write to ada")
    keys.press("Enter")
    waits = screen.tab.get_by_role("region", name="A tool call waits for you")
    expect(waits).to_be_visible()
    keys.to("^Reject$")
    keys.press("Enter")
    screen.tab.keyboard.type("Not today.")
    keys.to("^Reject the call$")
    keys.press("Enter")
    screen.answered("Done.")
    keys.to("^send_mail", "Shift+Tab")
    keys.press("Enter")
    expect(screen.tab.get_by_role("heading", name="Arguments")).to_be_visible()
    keys.to("^write to ada")
    keys.to("^Menu of write to ada")
    keys.press("Enter")
    expect(screen.tab.get_by_role("menuitem", name="Rename")).to_be_focused()
    keys.press("Enter")
    expect(screen.tab.get_by_label("Title", exact=True)).to_be_focused()
    screen.tab.keyboard.type("To ada")
    keys.press("Enter")
    link = screen.tab.get_by_role("link", name="To ada")
    expect(link).to_be_visible()
    keys.to("^Now$", "Shift+Tab")
    keys.press("Enter")
    expect(screen.tab.get_by_role("table", name="Last turns")).to_be_visible()


def test_the_first_tab_skips_to_the_content(open_page: Open) -> None:
    screen = open_page("now")
    expect(screen.tab.get_by_role("heading", name="Models")).to_be_visible()
    screen.tab.keyboard.press("Tab")
    focused: Any = screen.tab.evaluate("() => document.activeElement.textContent")
    assert focused == "Skip to the content"
    screen.tab.keyboard.press("Enter")
    assert screen.tab.evaluate("() => document.activeElement.id") == "content"

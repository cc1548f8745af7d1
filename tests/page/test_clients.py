"""The protocols, proved by the clients that others build pages with, in the same browser.

Each page of tests/js/pages shows the same and offers the same, whichever client is below it.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.node import page_of
from tests.page.conftest import Stage
from tests.page.screen import MARKS, VIOLATIONS, expect
from tests.waiting import PATIENCE, eventually_sync

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Error, Page

pytestmark = MARKS

CLIENTS = ("langchain-react", "sdk-react", "assistant-langgraph", "assistant-langchain")
JOINS = ("langchain-react", "sdk-react", "assistant-langchain")
"""Clients that take up a run under way; the fourth only loads the state of a thread."""


class Chat:
    """A page of a client, by what a reader sees of it."""

    def __init__(self, tab: "Page", client: str) -> None:
        self.tab = tab
        self.client = client
        self.console: list[str] = []
        tab.on("pageerror", self._failed)
        tab.on("console", self._said)

    def leave(self) -> None:
        """Hear no more of the tab, which other tests go on with."""
        self.tab.remove_listener("pageerror", self._failed)
        self.tab.remove_listener("console", self._said)
        self.tab.unroute_all()

    def _failed(self, error: "Error") -> None:
        self.console.append(str(error))

    def _said(self, message: "ConsoleMessage") -> None:
        # For `/ok`, on which the tab waits for its next test, Chromium asks for an icon.
        icon = message.location.get("url", "").endswith("/favicon.ico")
        if message.type == "error" and not icon:
            self.console.append(message.text)

    def send(self, words: str) -> None:
        self.idle()
        self.tab.get_by_label("Message", exact=True).fill(words)
        self.tab.get_by_role("button", name="Send").click()

    def shows(self, *said: str) -> None:
        items = self.tab.get_by_role("list", name="Messages").get_by_role("listitem")
        expect(items).to_have_text([*said])

    def called(self, *calls: str) -> None:
        items = self.tab.get_by_role("list", name="Tools").get_by_role("listitem")
        expect(items).to_have_text([*calls])

    def idle(self) -> None:
        expect(self.tab.locator("main")).to_have_attribute("aria-busy", "false")


@pytest.fixture
def stage(shared_stage: Stage, tmp_path: Path) -> Stage:
    """The stage of the file, with gates of the test's own."""
    return replace(shared_stage, folder=tmp_path)


@pytest.fixture(scope="module")
def tab(browser: "Browser") -> Iterator["Page"]:
    """One tab for the tests of a file: a new one has a process of its own."""
    with browser.new_context() as context:
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE * 1000)
        tab.add_init_script(VIOLATIONS)
        yield tab


@pytest.fixture(params=CLIENTS, scope="module")
def document(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """The name of a client, and its page."""
    name: str = request.param
    return name, page_of(f"pages/{name}.jsx", tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def chat(document: tuple[str, str], tab: "Page", stage: Stage) -> Iterator[Chat]:
    name, html = document
    thread = str(uuid4())
    stage.client.post("/threads", json={"thread_id": thread}).raise_for_status()
    url = f"{stage.url}/client?thread={thread}"
    tab.route(url, lambda route: route.fulfill(body=html, content_type="text/html; charset=utf-8"))
    chat = Chat(tab, name)
    tab.goto(url)
    yield chat
    tab.goto(f"{stage.url}/ok")  # ends its streams
    chat.leave()


def test_words_come_one_by_one(chat: Chat, stage: Stage) -> None:
    asked = f"one @{stage.gate('first')} two @{stage.gate('second')} three"
    chat.send(asked)
    chat.shows(asked, "one")
    stage.gate("first").touch()
    chat.shows(asked, "one two")
    stage.gate("second").touch()
    chat.shows(asked, "one two three")
    chat.idle()
    assert chat.console == []


def test_a_tool_is_called_and_its_result_comes(chat: Chat) -> None:
    chat.send("look here")
    chat.shows("look here", "here")
    chat.called('look {"what":"it"}: seen: it')
    assert chat.console == []


def test_it_asks_and_goes_on_with_the_answer(chat: Chat) -> None:
    chat.send("ask done")
    button = chat.tab.get_by_role("button", name='Yes to {"question":"it"}')
    button.click()
    chat.shows("ask done", "done")
    chat.called('ask {"what":"it"}: answered: yes')
    expect(button).to_be_hidden()
    assert chat.console == []


def test_it_is_loaded_again_while_it_is_asked(chat: Chat) -> None:
    chat.send("ask done")
    button = chat.tab.get_by_role("button", name='Yes to {"question":"it"}')
    expect(button).to_be_visible()
    chat.tab.reload()
    button.click()
    chat.shows("ask done", "done")
    assert chat.console == []


def test_it_is_loaded_again_in_mid_answer(chat: Chat, stage: Stage) -> None:
    asked = f"look one two @{stage.gate('gate')} three"
    chat.send(asked)
    chat.shows(asked, "one two")
    chat.tab.reload()
    joins = chat.client in JOINS
    if joins:
        chat.shows(asked, "one two")
    stage.gate("gate").touch()
    if not joins:
        thread = chat.tab.url.split("thread=")[1]
        eventually_sync(lambda: stage.client.get(f"/threads/{thread}").json()["status"] == "idle")
        chat.tab.reload()
    chat.shows(asked, "one two three")
    chat.called('look {"what":"it"}: seen: it')
    assert chat.console == []

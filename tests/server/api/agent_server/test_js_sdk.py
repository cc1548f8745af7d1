"""LangGraph's JavaScript clients, in two versions, call the running service: see tests/js."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.browser import CHROMIUM, Browser, Page, browser
from tests.node import install, node, page_of
from tests.provider import KEY, FakeProvider, Fault, Reply
from tests.service import ROOT, Client, serving
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GRAPHS = {
    "toy": "tests/server/toy_graph.py:graph",
    "gated": "tests/server/gated_graph.py:graph",
    "two": "tests/server/gated_graph.py:two",
    "agent": "graph/agent.py:graph",
}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Client]:
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": {name: f"{ROOT / at}" for name, at in GRAPHS.items()}}))
    with FakeProvider() as provider:
        # Twice, over each transport, a model breaks off, and another one answers.
        cut = Fault("cut", reply=Reply("one two three four"), after=3)
        provider.script("a", cut, cut, cut, cut)
        provider.script("b", "All of it.", "All of it.")
        models = {"base_url": provider.url, "openai_api_key": KEY, "models": "a,b"}
        with serving(tmp_path / "data", config=config, **models) as client:
            yield client


def test_the_javascript_clients(served: Client) -> None:
    install()
    done = node("--test", "--test-reporter=spec", "--test-timeout=300000", url=str(served.base_url))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pass 0" not in done.stdout


class Chat:
    """The page of tests/js/page.jsx, in a real browser."""

    def __init__(self, page: Page, url: str, html: str) -> None:
        self.page = page
        page.give(url, html)

    def send(self, words: str) -> None:
        self.page.run(
            """async (content) => {
              while (stream.isThreadLoading) await new Promise((done) => setTimeout(done, 10));
              void stream.submit({ messages: [{ type: "human", content }] });
            }""",
            words,
        )

    def respond(self, answer: str) -> None:
        self.page.run(
            """async (answer) => {
              while (!stream.interrupt) await new Promise((done) => setTimeout(done, 10));
              void stream.respond(answer, { interruptId: stream.interrupt.id });
            }""",
            answer,
        )

    def shows(self, state: str, *said: str) -> None:
        """Wait until the page shows messages, and is `idle` or `busy`."""
        shown: Any = None

        def as_expected() -> bool:
            nonlocal shown
            shown = self.page.run(
                """() => [document.querySelector("main")?.title,
                          ...[...document.querySelectorAll("p")].map((each) => each.textContent)]"""
            )
            return bool(shown == [state, *said])

        try:
            eventually_sync(as_expected)
        except AssertionError as error:
            raise AssertionError(f"not {[state, *said]}, but {shown}") from error

    def seen(self) -> list[list[str]]:
        """What it has shown since it was loaded."""
        seen: list[list[str]] = self.page.run("() => window.seen")
        return seen


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of("page.jsx", tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with browser(tmp_path_factory.mktemp("browser"), []) as running:
        yield running


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_page_that_is_reloaded_in_mid_answer_loses_nothing(
    served: Client, chromium: Browser, html: str, tmp_path: Path, transport: str
) -> None:
    url = f"{str(served.base_url).rstrip('/')}/page?thread={uuid4()}&transport={transport}"
    gate = tmp_path / "gate"
    asked = f"look one two @{gate} three four"
    with chromium.page() as page:
        chat = Chat(page, url, html)
        chat.send(asked)
        so_far = [asked, "", "seen: it"]
        chat.shows("busy", *so_far, "one two")
        page.go(url)
        chat.shows("busy", *so_far, "one two")
        with chromium.page() as other:
            second = Chat(other, url, html)
            second.shows("busy", *so_far, "one two")
            gate.touch()
            for each in (chat, second):
                each.shows("idle", *so_far, "one two three four")
            whole = [*so_far, "one two three four"]
            assert all(
                len(shown) <= len(whole) and shown[:3] == so_far[: len(shown)]
                for shown in chat.seen()
                if shown
            ), chat.seen()
            second.send("ask more")
            for each in (chat, second):
                each.shows("idle", *whole, "ask more", "")
            chat.respond("yes")
            for each in (chat, second):
                each.shows("idle", *whole, "ask more", "", "answered: yes", "more")
            assert other.console == []
        # Its thread was made by its first turn.
        assert [said for said in page.console if "404" not in said] == []

"""A running service with models of the test's own, and the page that it serves in a browser."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import CHROMIUM
from tests.provider import KEY, FakeProvider, Offer
from tests.service import ROOT, Client, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.page.screen import Screen, Tabs

pytest.register_assert_rewrite("tests.page.screen")

GRAPHS = {
    "agent": "graph/agent.py:graph",
    "gated": "tests/server/gated_graph.py:graph",
    "planner": "graph/planner.py:graph",
    "counter": "tests/projects/plain_state/graph.py:graph",
}
MODELS = ("model-a", "model-b")
APPROVED = '''
from langchain_core.tools import tool
from everturn.tools.kit.declare import declare

@declare(approval=True)
@tool
def send_mail(to: str, text: str = "hi") -> str:
    """Send a mail."""
    return f"sent to {to}: {text}"
'''


@dataclass(frozen=True)
class Stage:
    """What a test plays on: the service, its models, and gates for the graph `gated`."""

    client: Client
    provider: FakeProvider
    folder: Path

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def gate(self, name: str) -> Path:
        """A file at which an answer of the graph `gated` waits: `@FILE`."""
        return self.folder / name


def settings_of(folder: Path, provider: FakeProvider) -> dict[str, Any]:
    """Settings of a service with two models and a tool that asks first."""
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {name: f"{ROOT / at}" for name, at in GRAPHS.items()}}))
    tools = folder / "own_tools"
    tools.mkdir()
    (tools / "mail.py").write_text(APPROVED)
    provider.offer(*(Offer(each, completion_price="0.000002") for each in MODELS))
    return {
        "config": config,
        "tool_paths": [tools],
        "base_url": provider.url,
        "openai_api_key": KEY,
        "models": ",".join(MODELS),
    }


@pytest.fixture
def settings(tmp_path: Path, fake_provider: FakeProvider) -> dict[str, Any]:
    return settings_of(tmp_path, fake_provider)


@pytest.fixture
def stage(tmp_path: Path, settings: dict[str, Any], fake_provider: FakeProvider) -> Iterator[Stage]:
    """A stage of the test's own; a file whose tests do not mind has `shared_stage` for it."""
    with serving(tmp_path / "data", **settings) as client:
        yield Stage(client, fake_provider, tmp_path)


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One stage for the tests of a file."""
    folder = tmp_path_factory.mktemp("stage")
    with FakeProvider() as provider:
        with serving(folder / "data", **settings_of(folder, provider)) as client:
            yield Stage(client, provider, folder)
        assert provider.keyless == []


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One browser for the tests of a file: while it runs, no other loop can run in this thread."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    from tests.page.screen import chromium

    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def tabs(browser: "Browser") -> "Tabs":
    """The tabs for the tests of a file."""
    from tests.page.screen import Tabs

    return Tabs(browser)


Open = Callable[..., "Screen"]


@pytest.fixture
def open_page(stage: Stage, tabs: "Tabs") -> Iterator[Open]:
    """Open the page at a place, as often as wanted; at the end all must be as it should."""

    def opened(place: str = "", **options: Any) -> "Screen":
        screen = tabs.open(stage.url, **options)
        screen.go(place)
        return screen

    try:
        yield opened
        for each in tabs.screens:
            each.check()
    finally:
        tabs.leave()

"""Reload, a second tab, and a service that was killed: nothing is missed."""

import re
from pathlib import Path
from typing import Any

from tests.page.conftest import Open, Stage
from tests.page.screen import MARKS, Tabs, expect
from tests.provider import FakeProvider
from tests.service import process

pytestmark = MARKS


def test_a_page_is_loaded_again_in_mid_run(open_page: Open, stage: Stage) -> None:
    screen = open_page()
    screen.choose_graph("gated")
    screen.say(f"look one two @{stage.gate('gate')} three")
    answer = screen.answer(-1).locator(".markdown")
    expect(answer).to_have_text("one two")
    screen.tab.reload()
    expect(answer).to_have_text("one two")
    expect(screen.log).to_have_attribute("aria-busy", "true")
    expect(screen.log.locator("details.tool")).to_have_count(1)
    stage.gate("gate").touch()
    screen.answered("one two three")
    expect(screen.log.locator("details.tool")).to_have_count(1)


def test_two_tabs_show_the_same(open_page: Open, stage: Stage) -> None:
    left = open_page()
    left.choose_graph("gated")
    left.say("one")
    left.answered("one")
    right = open_page(f"talk/{left.thread}")
    right.answered("one")
    right.say(f"two @{stage.gate('gate')} three")
    for each in (left, right):
        expect(each.answer(-1).locator(".markdown")).to_have_text("two")
        expect(each.log).to_have_attribute("aria-busy", "true")
    stage.gate("gate").touch()
    for each in (left, right):
        each.answered("two three")
    left.say("four")
    for each in (left, right):
        each.answered("four")


def test_the_service_is_killed_and_comes_back(
    tabs: Tabs, tmp_path: Path, settings: dict[str, Any], fake_provider: FakeProvider
) -> None:
    environment = {
        "EVERTURN_CONFIG": str(settings["config"]),
        "EVERTURN_BASE_URL": fake_provider.url,
        "OPENAI_API_KEY": settings["openai_api_key"],
        "EVERTURN_MODELS": settings["models"],
    }
    folder = tmp_path / "killed"
    gate = tmp_path / "gate"
    with process(folder, **environment) as first:
        url = first.url()
        screen = tabs.open(url)
        screen.go()
        screen.expected = re.compile("ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|net::|Failed to load")
        screen.choose_graph("gated")
        screen.say(f"one @{gate} two")
        expect(screen.answer(-1).locator(".markdown")).to_have_text("one")
        first.kill()
    away = screen.tab.get_by_text("The service is away.")
    expect(away.first).to_be_visible()
    with process(folder, "--port", url.rsplit(":", 1)[1], **environment) as second:
        second.url()
        expect(away).to_have_count(0)
        gate.touch()
        screen.answered("one two")
        screen.say("three")
        screen.answered("three")
        screen.check()
    tabs.leave()


def test_an_edit_of_the_state_is_there_after_a_reload_and_after_a_while_away(
    open_page: Open, stage: Stage
) -> None:
    screen = open_page(own=True)
    screen.say("Compute 6*7")
    screen.answered("The result is 42.")
    thread = screen.thread

    def edit(words: str) -> None:
        values = {"messages": [{"role": "user", "content": words}]}
        stage.client.post(f"/threads/{thread}/state", json={"values": values}).raise_for_status()

    edit("seen at once")
    screen.shows("seen at once")
    screen.go(f"talk/{thread}")
    screen.shows("seen at once")
    screen.expected = re.compile("ERR_INTERNET_DISCONNECTED|ERR_NETWORK_CHANGED")
    screen.tab.context.set_offline(True)
    screen.tab.evaluate("dispatchEvent(new Event('online'))")  # it asks, and finds nobody
    expect(screen.tab.get_by_text("The service is away.").first).to_be_visible()
    edit("made meanwhile")
    screen.tab.context.set_offline(False)
    screen.shows("made meanwhile")

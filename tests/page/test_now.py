"""Now: what the service does at this moment."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

from tests.page.conftest import Open, Stage
from tests.page.screen import MARKS, Tabs, expect
from tests.provider import Fault, Reply
from tests.server.access.own_keys import key_in
from tests.service import serving

pytestmark = MARKS


def figure(tab: Any, name: str) -> Any:
    return tab.locator("dl > div").filter(has=tab.get_by_text(name, exact=True)).locator("dd").first


def test_now_counts_a_run_of_the_sdk(open_page: Open, stage: Stage) -> None:
    screen = open_page("now")
    table = screen.tab.get_by_role("table", name="Last turns")
    expect(screen.tab.get_by_text("There was no turn yet.")).to_be_visible()
    with get_sync_client(url=stage.url, api_key=None) as client:
        thread = client.threads.create()["thread_id"]
        client.runs.wait(thread, "agent", input={"messages": "Compute 6*7"})
    expect(table.get_by_role("row")).to_have_count(2)
    row = table.get_by_role("row").nth(1)
    expect(row).to_contain_text("agent")
    expect(row).to_contain_text("model-a")
    expect(row).to_contain_text("done")
    expect(screen.tab.get_by_text("1 in 15 minutes")).to_be_visible()
    tools = screen.tab.get_by_role("table", name="Tools")
    expect(tools.get_by_role("row").nth(1)).to_contain_text("calculator")
    models = screen.tab.get_by_role("table", name="Models")
    expect(models.get_by_role("row").nth(1)).to_contain_text("asked")
    row.get_by_role("link", name=re.compile("open its thread")).click()
    assert screen.thread == thread
    screen.answered("The result is 42.")


def test_a_breaker_is_seen_and_counts_down(open_page: Open, stage: Stage) -> None:
    stage.provider.script("model-a", Fault(429, retry_after=90))
    stage.provider.script("model-b", "It was me.")
    stage.client.ask("hello")
    screen = open_page("now")
    row = screen.tab.get_by_role("table", name="Models").get_by_role("row").nth(1)
    expect(row).to_contain_text("model-a")
    expect(row).to_contain_text(re.compile(r"not asked · again in \d+ s"))
    seconds = _seconds(row.inner_text())
    expect(row).not_to_contain_text(f"again in {seconds} s")
    assert _seconds(row.inner_text()) < seconds
    expect(row).to_contain_text("rate_limited × 1")
    turn = screen.tab.get_by_role("table", name="Last turns").get_by_role("row").nth(1)
    expect(turn).to_contain_text("fallback × 1")


def _seconds(text: str) -> int:
    found = re.search(r"again in (\d+) s", text)
    assert found
    return int(found[1])


def test_a_run_under_way_is_counted_and_a_hidden_tab_asks_for_nothing(
    open_page: Open, stage: Stage
) -> None:
    stage.provider.script("model-a", Reply("one two", first_token=0.1))
    screen = open_page("now")
    tab = screen.tab
    expect(figure(tab, "Under way")).to_have_text("0")
    thread = stage.client.post("/threads", json={}).json()["thread_id"]
    run = {"assistant_id": "gated", "input": {"messages": f"one @{stage.gate('gate')} two"}}
    stage.client.post(f"/threads/{thread}/runs", json=run).raise_for_status()
    expect(figure(tab, "Under way")).to_have_text("1")
    _hide(tab, hidden=True)
    stage.gate("gate").touch()
    with tab.expect_request("**/api/now/stream"):
        _hide(tab, hidden=False)
    expect(figure(tab, "Under way")).to_have_text("0")


def _hide(tab: Any, *, hidden: bool) -> None:
    tab.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_key_that_may_not_see_it_is_told_so(tabs: Tabs, tmp_path: Path) -> None:
    with serving(tmp_path / "data", auth="on") as client, ThreadPoolExecutor(1) as elsewhere:
        key = elsewhere.submit(key_in, tmp_path / "data", "reader").result()
        with tabs.page(str(client.base_url).rstrip("/"), "now") as screen:
            screen.expected = re.compile("403")  # which Chromium writes in its console by itself
            screen.tab.get_by_label("API key").fill(key)
            screen.tab.get_by_label("API key").press("Enter")
            expect(
                screen.tab.get_by_text("This key may not see what the service does.")
            ).to_be_visible()
            screen.check()


# The other two meet a phone in test_looks.py.
@pytest.mark.parametrize(("language", "scheme"), [("en-US", "dark"), ("ko-KR", "light")])
def test_now_fits_a_phone(open_page: Open, stage: Stage, scheme: str, language: str) -> None:
    stage.client.ask("hello")
    narrow = {"width": 375, "height": 700}
    screen = open_page("now", viewport=narrow, color_scheme=scheme, locale=language)
    expect(screen.tab.get_by_role("table").last.get_by_role("row")).to_have_count(2)
    assert screen.fits()

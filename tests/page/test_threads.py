"""The list of threads: found, renamed, copied, exported, deleted, and walked by the keyboard."""

import json
from pathlib import Path

from tests.page.conftest import Open, Stage
from tests.page.screen import MARKS, Locator, Screen, expect

pytestmark = MARKS


def thread(stage: Stage, words: str) -> str:
    """Make a thread that begins with these words; nothing is run."""
    said = {"messages": [{"role": "user", "content": words}]}
    updates = [{"as_node": "stop", "values": said}]
    body = {"metadata": {"graph_id": "agent"}, "supersteps": [{"updates": updates}]}
    made = stage.client.post("/threads", json=body)
    assert made.status_code == 200, made.text
    return str(made.json()["thread_id"])


def titles(screen: Screen) -> Locator:
    return screen.tab.locator("a.thread .title")


def choose(screen: Screen, title: str, what: str) -> None:
    screen.button(f"Menu of {title}").click()
    screen.tab.get_by_role("menuitem", name=what).click()


def test_the_list_is_endless_newest_first(open_page: Open, stage: Stage) -> None:
    for number in range(65):
        thread(stage, f"Question {number}")
    screen = open_page("threads")
    expect(titles(screen).first).to_have_text("Question 64")
    expect(titles(screen)).not_to_have_count(65)
    for loaded in (60, 65):
        titles(screen).last.scroll_into_view_if_needed()
        expect(titles(screen)).to_have_count(loaded)
    expect(titles(screen).last).to_have_text("Question 0")


def test_threads_are_found_by_text_graph_and_status(open_page: Open, stage: Stage) -> None:
    for words in ("How is rice cooked?", "How is soup cooked?"):
        thread(stage, words)
    stage.client.post("/threads", json={"metadata": {"graph_id": "gated"}})
    screen = open_page("threads")
    expect(titles(screen)).to_have_count(3)
    screen.tab.get_by_label("Search titles").fill("cooked RICE")
    expect(titles(screen)).to_have_text(["How is rice cooked?"])
    screen.tab.get_by_label("Search titles").fill("")
    filters = screen.tab.get_by_role("search")
    filters.get_by_label("Graph").select_option("gated")
    expect(titles(screen)).to_have_text(["No message yet"])
    filters.get_by_label("Graph").select_option("")
    filters.get_by_label("Status").select_option("error")
    expect(titles(screen)).to_have_count(0)
    screen.check()


def test_a_thread_is_renamed_copied_and_deleted(open_page: Open, stage: Stage) -> None:
    first = thread(stage, "Rice")
    screen = open_page("threads")
    choose(screen, "Rice", "Rename")
    screen.tab.get_by_label("Title", exact=True).fill("Dinner")
    screen.tab.get_by_label("Title", exact=True).press("Enter")
    expect(titles(screen)).to_have_text(["Dinner"])
    choose(screen, "Dinner", "Copy")
    expect(titles(screen)).to_have_text(["Dinner (copy)", "Dinner"])
    assert screen.thread != first
    choose(screen, "Dinner (copy)", "Delete")
    screen.check()
    screen.button("Keep").click()
    expect(titles(screen)).to_have_count(2)
    choose(screen, "Dinner (copy)", "Delete")
    screen.tab.get_by_role("group").get_by_role("button", name="Delete").click()
    expect(titles(screen)).to_have_text(["Dinner"])
    assert [each["thread_id"] for each in stage.client.post("/threads/search", json={}).json()] == [
        first
    ]


def test_a_thread_is_exported(open_page: Open, stage: Stage) -> None:
    thread(stage, "Rice")
    stage.provider.script("model-a", "Twelve minutes.")
    stage.client.ask("How long?")
    screen = open_page("threads")

    def exported(title: str, what: str) -> str:
        with screen.tab.expect_download() as download:
            choose(screen, title, what)
        return Path(download.value.path()).read_text()

    values = json.loads(exported("Rice", "Export as JSON"))["values"]
    assert [each["content"] for each in values["messages"]] == ["Rice"]
    assert "# Rice" in exported("Rice", "Export as Markdown")
    (turn,) = json.loads(exported("How long?", "Export as JSON"))["history"]
    assert turn["assistant_message"] == "Twelve minutes."
    assert "Twelve minutes." in exported("How long?", "Export as Markdown")


def test_the_keyboard_is_enough(open_page: Open, stage: Stage) -> None:
    for words in ("one", "two", "three"):
        last = thread(stage, words)
    screen = open_page("threads")
    row = screen.tab.locator("a.thread", has_text="three")
    row.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "Home", "Enter"):
        screen.tab.keyboard.press(key)
    assert screen.thread == last
    row.focus()
    screen.tab.keyboard.press("Tab")
    screen.tab.keyboard.press("Enter")
    expect(screen.tab.get_by_role("menuitem", name="Rename")).to_be_focused()
    screen.tab.keyboard.press("Escape")
    expect(screen.button("Menu of three")).to_be_focused()


def test_what_waits_in_another_thread_is_in_the_tabs_title(open_page: Open, stage: Stage) -> None:
    screen = open_page("threads")
    expect(screen.tab).to_have_title("Everturn")
    question = {"messages": [{"role": "user", "content": "ask done"}]}
    made = stage.client.post("/threads", json={}).json()["thread_id"]
    body = {"assistant_id": "gated", "input": question}
    stage.client.post(f"/threads/{made}/runs/wait", json=body)
    screen.tab.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(screen.tab).to_have_title("● Waits for you – Everturn")

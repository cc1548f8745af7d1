"""Talk: words as they come, tools, models that fail, and what becomes of a run in between."""

import re
from pathlib import Path

import pytest

from tests.page.conftest import Open, Stage
from tests.page.screen import MARKS, Screen, Tabs, expect
from tests.provider import Fault, Reply
from tests.service import serving

pytestmark = MARKS


def test_a_first_answer_with_a_tool(open_page: Open) -> None:
    screen = open_page()
    screen.say("Compute 6*7")
    screen.answered("The result is 42.")
    card = screen.log.locator("details.tool")
    expect(card).to_contain_text("calculator")
    card.locator("summary").click()
    expect(card.get_by_role("heading", name="Result")).to_be_visible()
    expect(card).to_contain_text("42")
    line = screen.answer(-1).locator("details.about")
    expect(line).to_contain_text(re.compile(r"model-a · .*tokens · .*1 tool"))
    line.locator("summary").click()
    expect(line.get_by_role("table", name="Route of this answer")).to_be_visible()
    threads = screen.tab.get_by_role("navigation").get_by_role("link", name="Compute 6*7")
    expect(threads).to_have_attribute("href", f"#/talk/{screen.thread}")


def test_words_come_one_by_one(open_page: Open, stage: Stage) -> None:
    screen = open_page()
    screen.choose_graph("gated")
    screen.say(f"one @{stage.gate('first')} two @{stage.gate('second')} three")
    answer = screen.answer(-1).locator(".markdown")
    expect(answer).to_have_text("one")
    stage.gate("first").touch()
    expect(answer).to_have_text("one two")
    screen.check()
    stage.gate("second").touch()
    screen.answered("one two three")


def test_a_model_dies_in_the_middle_of_its_answer(open_page: Open, stage: Stage) -> None:
    stage.provider.script("model-a", Fault("cut", reply=Reply("one two three four five"), after=3))
    stage.provider.script("model-b", "All of it.")
    screen = open_page()
    screen.say("hello")
    screen.answered("All of it.")
    taken = screen.log.locator("details.taken")
    expect(taken.locator("summary")).to_have_text(
        re.compile(r"taken back: \d+ characters of model-a, died half-way")
    )
    expect(taken.locator("del")).to_be_hidden()
    taken.locator("summary").click()
    expect(taken.locator("del")).to_have_text(re.compile("^one two three"))
    assert "line-through" in taken.locator("del").evaluate(
        "(e) => getComputedStyle(e).textDecoration"
    )
    screen.shows(re.compile("model-a died half-way: asking model-b, 2 of 2"))
    expect(screen.answer(-1).locator("details.about")).to_contain_text("model-b (fallback)")


def test_an_offline_answer_says_why_and_until_when(open_page: Open, stage: Stage) -> None:
    for model in ("model-a", "model-b"):
        stage.provider.script(model, Fault(429, retry_after=90))
    screen = open_page()
    screen.say("Compute 6*7")
    answer = screen.log.locator("article.is-offline")
    expect(answer).to_contain_text("Offline answer")
    expect(answer).to_contain_text(re.compile("a model is expected back in"))
    edge = answer.evaluate(
        """(answer) => Math.max(...[answer, ...answer.querySelectorAll("*")]
          .map((each) => parseFloat(getComputedStyle(each).borderInlineStartWidth)))"""
    )
    assert edge >= 2  # it has a colour
    screen.done()


def test_an_offline_answer_says_that_no_model_is_configured(tabs: Tabs, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "bare") as client,
        tabs.page(str(client.base_url).rstrip("/")) as screen,
    ):
        screen.say("Compute 6*7")
        answer = screen.log.locator("article.is-offline")
        expect(answer.locator(".offline")).to_have_text("Offline answer · No model is configured.")
        screen.answered("6 * 7 = 42")
        screen.check()


def test_a_thread_is_listed_while_its_first_run_is_under_way(open_page: Open, stage: Stage) -> None:
    screen = open_page()
    screen.choose_graph("gated")
    screen.say(f"one @{stage.gate('gate')}")
    listed = screen.tab.get_by_role("navigation").get_by_role("link", name=re.compile("one @"))
    expect(listed).to_contain_text("running")
    stage.gate("gate").touch()
    screen.answered("one")


def test_a_run_is_stopped(open_page: Open, stage: Stage) -> None:
    screen = open_page()
    screen.choose_graph("gated")
    screen.say(f"one @{stage.gate('never')} two")
    expect(screen.answer(-1).locator(".markdown")).to_have_text("one")
    screen.button("Stop").filter(has_text=re.compile("^Stop$")).click()
    screen.done()
    expect(screen.button("Stop and undo")).to_be_hidden()
    runs = stage.client.get(f"/threads/{screen.thread}/runs").json()
    assert [run["status"] for run in runs] == ["interrupted"]
    screen.say("three")
    screen.answered("three")


def test_a_run_is_stopped_and_undone(open_page: Open, stage: Stage) -> None:
    screen = open_page()
    screen.choose_graph("gated")
    screen.say("first")
    screen.answered("first")
    screen.say(f"one @{stage.gate('never')} two")
    expect(screen.answer(-1).locator(".markdown")).to_have_text("one")
    screen.button("Stop and undo").click()
    screen.done()
    values = stage.client.get(f"/threads/{screen.thread}/state").json()["values"]
    assert [message["content"].strip() for message in values["messages"]] == ["first", "first"]


def test_typing_on_while_it_runs_queues(open_page: Open, stage: Stage) -> None:
    screen = open_page()
    screen.choose_graph("gated")
    screen.say(f"one @{stage.gate('gate')} two")
    expect(screen.answer(-1).locator(".markdown")).to_have_text("one")
    screen.say("three")
    expect(screen.button("Take out of the queue")).to_be_visible()
    screen.check()
    stage.gate("gate").touch()
    screen.answered("three")
    expect(screen.answer(0).locator(".markdown")).to_have_text("one two")


def test_a_question_is_edited_and_its_first_answer_shown_again(
    open_page: Open, stage: Stage
) -> None:
    screen = open_page()
    screen.choose_graph("gated")
    screen.say("first")
    screen.answered("first")
    question = screen.log.get_by_role("article", name="You")
    question.get_by_role("button", name="Edit").click()
    field = screen.tab.get_by_label("Edit the question")
    field.fill("second")
    screen.button("Ask this").click()
    screen.answered("second")
    versions = screen.tab.get_by_role("group", name="Versions").first
    expect(versions).to_contain_text("2/2")
    versions.get_by_role("button", name="Version before").click()
    screen.answered("first")
    expect(screen.tab.get_by_text("This is an older branch.")).to_be_visible()
    screen.check()
    screen.tab.get_by_role("group", name="Versions").first.get_by_role(
        "button", name="Next version"
    ).click()
    screen.answered("second")
    history = stage.client.post(f"/threads/{screen.thread}/history", json={"limit": 100}).json()
    assert len({state["checkpoint"]["checkpoint_id"] for state in history}) >= 5


def test_an_answer_is_made_anew(open_page: Open, stage: Stage) -> None:
    stage.provider.script("model-a", "The first.", "The second.")
    screen = open_page()
    screen.say("hello")
    screen.answered("The first.")
    screen.answer(-1).get_by_role("button", name="Regenerate").click()
    screen.answered("The second.")
    versions = screen.tab.get_by_role("group", name="Versions")
    expect(versions).to_contain_text("2/2")
    versions.get_by_role("button", name="Version before").click()
    screen.answered("The first.")


def test_markdown_has_tables_and_code_and_never_html(open_page: Open, stage: Stage) -> None:
    table, code = "| a | b |\n|---|---|\n| 1 | 2 |", "```\nx = 1\n```"
    text = f"{table}\n\n{code}\n\n<img src=x onerror=alert(1)> **bold**"
    stage.provider.script("model-a", text)
    screen = open_page()
    screen.say("hello")
    expect(screen.log.get_by_role("cell", name="2")).to_be_visible()
    expect(screen.button("Copy this code")).to_be_visible()
    expect(screen.log.locator("strong", has_text="bold")).to_be_visible()
    expect(screen.log.locator("img")).to_have_count(0)
    screen.done()


def test_an_answer_keeps_its_lines_and_links_only_where_it_is_safe(
    open_page: Open, stage: Stage
) -> None:
    lines = "6 * 7 = 42\nWeather: fine\n\nمرحبا\n\n| name | value |\n|---|---|\n| a | 1 |"
    links = "[safe](https://example.org) [unsafe](javascript:alert(1))"
    stage.provider.script("model-a", f"{lines}\n\n{links}")
    screen = open_page(viewport={"width": 375, "height": 740})
    screen.say("hello")
    answer = screen.answer(-1).locator(".markdown")
    expect(answer.get_by_role("link")).to_have_text(["safe"])
    first, arabic = answer.locator("p").nth(0), answer.locator("p").nth(1)
    expect(first.locator("br")).to_have_count(1)
    room, text = (
        arabic.bounding_box(),
        arabic.evaluate(
            """(p) => { const range = document.createRange(); range.selectNodeContents(p);
          return range.getBoundingClientRect().right; }"""
        ),
    )
    assert room is not None
    assert abs(room["x"] + room["width"] - text) < 2
    head = answer.get_by_role("columnheader", name="value")
    assert head.evaluate("(e) => e.clientHeight") < 40  # a word is in one piece
    assert screen.fits()
    screen.done()


@pytest.mark.parametrize("graph", ["agent", "gated"])
def test_an_empty_page_says_how_to_begin(open_page: Open, graph: str) -> None:
    screen: Screen = open_page("talk")
    screen.choose_graph(graph)
    expect(screen.tab.get_by_text("Say something to begin.")).to_be_visible()


def test_a_graph_without_messages_is_asked_by_a_form(open_page: Open) -> None:
    screen = open_page()
    screen.choose_graph("counter")
    form = screen.tab.get_by_role("group", name="Input of the graph")
    form.get_by_label("Count").fill("41")
    screen.button("Send").click()
    expect(screen.log).to_contain_text("was 41")


def test_a_plan_is_shown_as_its_steps_are_carried_out(open_page: Open, stage: Stage) -> None:
    assistant = {"graph_id": "planner", "name": "plans", "context": {"model": "offline"}}
    stage.client.post("/assistants", json=assistant).raise_for_status()
    screen = open_page()
    screen.choose_graph("plans (planner)")
    screen.say("Calculate 6*7, then calculate 10*20")
    plan = screen.tab.locator("section.channels details", has_text="Plan")
    expect(plan.get_by_role("listitem")).to_have_count(2)
    expect(plan.locator("[data-status=done]")).to_have_count(2)
    expect(plan).to_contain_text("200")
    screen.done()


def test_memories_that_joined_a_turn_are_shown(open_page: Open, stage: Stage) -> None:
    stage.client.post("/api/memories", json={"text": "Gildong drinks green tea"}).raise_for_status()
    screen = open_page()
    screen.say("Which green tea would I like?")
    used = screen.tab.locator("section.channels details", has_text="Memories used")
    used.locator("summary").click()
    expect(used.get_by_role("listitem")).to_have_text(["Gildong drinks green tea"])
    screen.done()


def test_an_answer_from_the_cache_says_so(open_page: Open, stage: Stage) -> None:
    assistant = {"graph_id": "agent", "name": "kept", "context": {"cache": True}}
    stage.client.post("/assistants", json=assistant).raise_for_status()
    for line in ("tokens", "model-a (from the cache)"):
        screen = open_page()
        screen.choose_graph("kept (agent)")
        screen.say("hello there")
        screen.done()
        expect(screen.answer(-1).locator("details.about")).to_contain_text(line)
    expect(screen.answer(-1).locator("details.about")).to_contain_text(" old")

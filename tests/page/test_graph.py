"""Graph: nodes light as they run, and a thread goes on from any of its checkpoints."""

import re
from typing import Any

from tests.page.conftest import Open, Stage
from tests.page.screen import MARKS, Screen, expect
from tests.provider import Fault, Reply
from tests.service import read_events

pytestmark = MARKS

WATCH = """() => {
  window.lit = [];
  const glowing = new Set();
  new MutationObserver(() => {
    for (const node of document.querySelectorAll("[data-path]")) {
      const { path } = node.dataset;
      if (!node.classList.contains("glowing")) glowing.delete(path);
      else if (!glowing.has(path)) { glowing.add(path); lit.push(path); }
    }
  }).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""


def node(screen: Screen, name: str) -> Any:
    return screen.tab.locator(f".graph-node[data-path={name}]")


def checkpoints(screen: Screen) -> Any:
    return screen.tab.get_by_role("listbox", name="Checkpoints").get_by_role("option")


def select(screen: Screen, words: str | re.Pattern[str]) -> Any:
    """Select the newest checkpoint of these words; returns what is shown of it."""
    checkpoints(screen).filter(has_text=words).first.click()
    return screen.tab.get_by_role("region", name=re.compile("^Checkpoint of step"))


def test_nodes_light_in_the_order_of_the_events(open_page: Open, stage: Stage) -> None:
    stage.provider.script("model-a", Fault("cut", reply=Reply("one two three four"), after=3))
    screen = open_page()
    expect(node(screen, "model")).to_be_visible()
    screen.tab.evaluate(WATCH)
    screen.say("Compute 6*7")
    screen.answered("The result is 42.")
    names = begun(stage, screen.thread)
    screen.tab.wait_for_function("(names) => names.every((name) => lit.includes(name))", arg=names)
    lit = screen.tab.evaluate("lit")
    assert names[:3] == ["model", "fallback_router", "model"]
    assert list(dict.fromkeys(lit)) == list(dict.fromkeys(names))
    expect(node(screen, "model")).to_contain_text(f"{names.count('model')} runs")
    expect(node(screen, "offline")).not_to_contain_text("done")
    labels = screen.tab.locator(".graph-label.taken")
    expect(labels.filter(has_text="1×").first).to_be_visible()


def begun(stage: Stage, thread: str) -> list[str]:
    """The steps of the newest run, in the order of the events."""
    names: list[str] = []
    body = {"channels": ["tasks", "lifecycle"]}
    with stage.client.stream("POST", f"/threads/{thread}/stream/events", json=body) as response:
        for event in read_events(response):
            data = event.data["params"]["data"]
            if event.name == "tasks" and "result" not in data:
                names.append(data["name"])
            if event.name == "lifecycle" and data["event"] == "completed":
                return names
    raise AssertionError(names)


def test_it_runs_again_from_a_checkpoint(open_page: Open, stage: Stage) -> None:
    stage.provider.script("model-a", "The first.", "The second.", "The third.")
    screen = open_page()
    screen.say("hello")
    screen.answered("The first.")
    screen.place("Graph")
    for branches in (2, 3):
        panel = select(screen, "step 0")
        panel.get_by_role("button", name="Run again from here").click()
        expect(screen.tab.get_by_text(f"{branches} branches")).to_be_visible()
    screen.check()
    screen.place("Talk")
    screen.answered("The third.")
    expect(screen.tab.get_by_role("group", name="Versions")).to_contain_text("3/3")


def test_a_state_is_edited_and_forked(open_page: Open, stage: Stage) -> None:
    screen = open_page()
    screen.choose_graph("gated")
    screen.say("first")
    screen.answered("first")
    screen.place("Graph")
    panel = select(screen, "step 1")
    panel.get_by_role("button", name="Edit and fork").click()
    field = panel.get_by_role("textbox", name="2", exact=True)
    field.fill(field.input_value().replace('"first "', '"what a person wrote"'))
    screen.check()
    panel.get_by_role("button", name="Fork only").click()
    expect(checkpoints(screen).filter(has_text="edited")).to_have_count(1)
    values = stage.client.get(f"/threads/{screen.thread}/state").json()["values"]
    assert values["messages"][-1]["content"] == "what a person wrote"
    screen.place("Talk")
    screen.answered("what a person wrote")


def test_two_checkpoints_are_compared(open_page: Open, stage: Stage) -> None:
    screen = open_page()
    screen.choose_graph("gated")
    screen.say("first")
    screen.answered("first")
    screen.place("Graph")
    panel = select(screen, "step 1")
    panel.get_by_role("button", name="Compare with").click()
    panel = select(screen, "step 0")
    expect(panel).to_contain_text(re.compile("Compared with step 1"))
    panel.get_by_role("button", name="End comparison").click()


def test_a_breakpoint_stops_a_run(open_page: Open, stage: Stage) -> None:
    screen = open_page()
    node(screen, "tools").click()
    screen.button("Stop before").click()
    screen.say("Compute 6*7")
    note = screen.tab.get_by_text("Waits before tools.")
    expect(note).to_be_visible()
    screen.check()
    screen.button("Continue").click()
    screen.answered("The result is 42.")
    expect(note).to_be_hidden()
